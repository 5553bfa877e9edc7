package timers

import "math/bits"

const (
	slotBits  = 6
	slotCount = 1 << slotBits
	slotMask  = slotCount - 1
	levels    = 6
	spanBits  = levels * slotBits // the levels reach to the next multiple of 2^36 ticks: 795 days

	// Places other than the slots of the levels. The two queues come last: they have no bit in a bitmap.
	placeFar    = levels * slotCount // beyond the reach of the levels
	placeDue    = placeFar + 1       // past due: for the next Advance
	placeFiring = placeFar + 2       // being fired by the running Advance
	places      = placeFar + 3
)

// Wheel holds the armed timers of one loop.
//
// The level of a timer is that of the highest base-64 digit in which its deadline differs from the time that the wheel
// has reached; its slot is that digit of the deadline. So every deadline in a lower level comes before every deadline
// in a higher one, and within a level the slots are in order of time, without wrapping. The next thing to do is always
// in the first occupied slot of the lowest occupied level.
type Wheel struct {
	reached  uint64 // the tick up to which slots are done; less than now only inside Advance
	now      uint64 // the tick of the last Advance
	size     int    // armed timers
	firing   bool   // inside Advance
	occupied [levels]uint64
	slots    [places]Timer // heads of rings
}

// NewWheel returns an empty wheel at tick nowMS.
func NewWheel(nowMS uint64) *Wheel {
	w := &Wheel{reached: nowMS, now: nowMS}
	for i := range w.slots {
		w.slots[i].ring()
	}
	return w
}

// Len returns the number of armed timers.
func (w *Wheel) Len() int { return w.size }

// Due reports whether there are timers that were past due when they were set. The next Advance fires them, whatever its
// tick.
func (w *Wheel) Due() bool { return !w.slots[placeDue].alone() }

// Now returns the tick of the last Advance.
func (w *Wheel) Now() uint64 { return w.now }

// Set arms t for tick deadlineMS, or moves it there if it is armed. A timer whose deadline is not after Now expires in
// the next Advance, never in the one that is running. t must not be armed in another wheel. Set panics if Init has not
// been called.
func (w *Wheel) Set(t *Timer, deadlineMS uint64) {
	if t.expirer == nil {
		panic("timers: Set before Init")
	}
	if t.Armed() {
		w.remove(t)
	} else {
		w.size++
	}
	t.deadline = deadlineMS
	if deadlineMS <= w.now {
		w.put(t, placeDue)
		return
	}
	w.insert(t)
}

// Cancel disarms t and reports whether it was armed.
func (w *Wheel) Cancel(t *Timer) bool {
	if !t.Armed() {
		return false
	}
	w.remove(t)
	w.size--
	return true
}

// Advance moves the wheel to tick nowMS and calls Expired for every timer whose deadline is not after it, in order of
// their ticks; timers that were past due when they were set come first. It returns the number of calls. A nowMS before
// Now counts as Now. Expired must not call Advance.
func (w *Wheel) Advance(nowMS uint64) (fired int) {
	if w.firing {
		panic("timers: Advance inside Expired")
	}
	w.firing = true
	w.now = max(w.now, nowMS)
	fired = w.fire(placeDue)
	for {
		place, start, ok := w.first()
		if !ok || start > w.now {
			break
		}
		w.reached = start
		if place < slotCount {
			fired += w.fire(place)
		} else {
			fired += w.cascade(place)
		}
	}
	w.reached = w.now
	w.firing = false
	return fired
}

// Next returns the tick at which Advance should be called next, and false if no timer is armed. The tick is never after
// the earliest deadline. If that deadline is more than 64 ticks away, the tick may be before it: Advance then moves
// timers to finer levels, and Next returns a later tick. This happens at most 6 times for one timer within the wheel's
// reach.
func (w *Wheel) Next() (deadlineMS uint64, ok bool) {
	if w.Due() {
		return w.now, true
	}
	_, start, ok := w.first()
	return start, ok
}

// first finds the first occupied slot, and the tick at which it starts.
func (w *Wheel) first() (place int, start uint64, ok bool) {
	for level, map64 := range w.occupied {
		if map64 == 0 {
			continue
		}
		slot := bits.TrailingZeros64(map64)
		shift := level * slotBits
		base := w.reached >> (shift + slotBits) << (shift + slotBits)
		return level<<slotBits | slot, base | uint64(slot)<<shift, true
	}
	if !w.slots[placeFar].alone() {
		return placeFar, (w.reached>>spanBits + 1) << spanBits, true
	}
	return 0, 0, false
}

// fire calls Expired for all timers that are in a place now. Timers that are added to it meanwhile stay.
func (w *Wheel) fire(place int) (fired int) {
	queue := &w.slots[placeFiring]
	w.drain(place)
	for !queue.alone() {
		t := queue.next
		t.unlink()
		w.size--
		fired++
		t.expirer.Expired(t)
	}
	return fired
}

// cascade moves the timers of a place, whose start the wheel has just reached, to finer levels. Timers that are due at
// exactly this tick have no finer level and are fired.
func (w *Wheel) cascade(place int) (fired int) {
	queue := &w.slots[placeFiring]
	w.drain(place)
	due := false
	for t := queue.next; t != queue; {
		next := t.next
		if t.deadline == w.reached {
			due = true
		} else {
			t.unlink()
			w.insert(t)
		}
		t = next
	}
	if due {
		fired = w.fire(placeFiring)
	}
	return fired
}

// drain empties a place into the firing queue, where Cancel and Set still find its timers.
func (w *Wheel) drain(place int) {
	queue := &w.slots[placeFiring]
	if place == placeFiring {
		return
	}
	queue.takeAll(&w.slots[place])
	for t := queue.next; t != queue; t = t.next {
		t.place = placeFiring
	}
	if place < placeFar {
		w.occupied[place>>slotBits] &^= 1 << (place & slotMask)
	}
}

// insert puts t, whose deadline is after reached, into its slot.
func (w *Wheel) insert(t *Timer) {
	level := (bits.Len64(t.deadline^w.reached) - 1) / slotBits
	if level >= levels {
		w.put(t, placeFar)
		return
	}
	slot := int(t.deadline>>(level*slotBits)) & slotMask
	w.occupied[level] |= 1 << slot
	w.put(t, level<<slotBits|slot)
}

func (w *Wheel) put(t *Timer, place int) {
	t.place = uint16(place)
	w.slots[place].push(t)
}

// remove removes an armed t from its place.
func (w *Wheel) remove(t *Timer) {
	t.unlink()
	if place := int(t.place); place < placeFar && w.slots[place].alone() {
		w.occupied[place>>slotBits] &^= 1 << (place & slotMask)
	}
}
