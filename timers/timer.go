package timers

// Expirer is notified when a timer has reached its deadline.
type Expirer interface {
	// Expired is called by Wheel.Advance. t is no longer armed. Expired may set and cancel any timer, including t.
	Expired(t *Timer)
}

// Timer is one deadline. It is embedded in the structure that it serves. Init must be called before the first Set.
type Timer struct {
	next, prev *Timer // neighbours in a slot's ring; nil while the timer is not armed
	expirer    Expirer
	deadline   uint64 // tick
	place      uint16 // index in Wheel.slots
}

// Init sets the Expirer that is called when t expires. It panics if t is armed.
func (t *Timer) Init(e Expirer) {
	if t.Armed() {
		panic("timers: Init of an armed timer")
	}
	t.expirer = e
}

// Armed reports whether t is in a wheel: set, and neither cancelled nor expired since.
func (t *Timer) Armed() bool { return t.next != nil }

// Deadline returns the tick that t was last set to, even after t has expired.
func (t *Timer) Deadline() uint64 { return t.deadline }

// unlink takes t out of its ring.
func (t *Timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

// ring makes t the head of an empty ring.
func (t *Timer) ring() { t.next, t.prev = t, t }

// alone reports whether the ring of head t holds no timer.
func (t *Timer) alone() bool { return t.next == t }

// push puts t at the end of the ring of head h.
func (h *Timer) push(t *Timer) {
	t.prev, t.next = h.prev, h
	h.prev.next, h.prev = t, t
}

// takeAll moves all timers of from to the empty ring of head h.
func (h *Timer) takeAll(from *Timer) {
	if from.alone() {
		return
	}
	h.next, h.prev = from.next, from.prev
	h.next.prev, h.prev.next = h, h
	from.ring()
}
