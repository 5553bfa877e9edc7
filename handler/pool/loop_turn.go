package pool

import "math/bits"

// How a loop and its workers wake each other. What isolation costs depends on the number of wake-ups, not of exchanges, so:
//
//   - Each loop has a home worker, and rings it once at the end of a turn, and only if it sleeps.
//   - With exchanges in progress the loop gives its CPU away once before it blocks. The home worker, which is kept on the
//     same CPU, has usually finished the batch when the loop comes back.
//   - Other workers are woken when exchanges wait and those that are awake do not get to them: see wakeOthers.
//   - A side that goes to sleep says so first, then looks once more, then blocks. Each side changes the memory before it
//     reads the other's flag, with full barriers, so one of them sees the other.

// BeginTurn implements backend.Turn.
func (l *loop) BeginTurn() {
	l.yielded = false
	if l.sleeping {
		l.flag.Store(0)
		l.sleeping = false
	}
}

// EndTurn implements backend.Turn. The order matters.
func (l *loop) EndTurn() (again bool) {
	if l.cells.open == 0 && len(l.pokes) == 0 {
		return false
	}
	now := l.on.Now()
	l.collect(now) // what has been finished during the turn
	if l.fresh {
		l.yielded = false
	}
	l.ring() // one ring for all that the turn has published
	if l.cells.open == 0 {
		return false
	}
	if l.cells.onlyHanded() {
		return !l.sleep() // no worker is at anything that it will finish soon
	}
	if !l.yielded {
		l.yielded = true
		yield() // once: more often makes the system prefer others for too long
		if l.collect(now) {
			l.ring() // collecting makes room, and may have started further exchanges
		}
	}
	if l.cells.open == 0 || l.repeats != nil && l.repeats.RepeatsEnd() {
		return false // workers that finish meanwhile need not ring: this is called once more
	}
	l.keepPair(now)
	l.wakeOthers()
	return !l.sleep()
}

// collect inspects the cells that workers have set a bit for. It reports whether there were any.
func (l *loop) collect(now int64) (found bool) {
	for i := range l.ready {
		w := &l.ready[i]
		if w.Load() == 0 {
			continue
		}
		found = true
		for word := w.Swap(0); word != 0; word &= word - 1 {
			if j := i*64 + bits.TrailingZeros64(word); j < len(l.cells.all) {
				l.cells.all[j].inspect(now)
			}
		}
	}
	return found
}

// poke has a worker rung at the end of the turn, if it sleeps.
func (l *loop) poke(w *Worker) {
	for _, p := range l.pokes {
		if p == w {
			return
		}
	}
	l.pokes = append(l.pokes, w)
}

// ring wakes the workers for which something has changed, if they sleep.
func (l *loop) ring() {
	if l.fresh {
		l.fresh = false
		l.refresh()
		if l.roster.home != nil {
			l.roster.home.wake()
		} else {
			l.p.kick() // there is no worker yet
		}
	}
	for i, w := range l.pokes {
		w.wake()
		l.pokes[i] = nil
	}
	l.pokes = l.pokes[:0]
}

// sleep announces that the loop blocks. false: there is something to do.
func (l *loop) sleep() bool {
	l.flag.Store(1)
	for i := range l.ready {
		if l.ready[i].Load() != 0 {
			l.flag.Store(0)
			return false
		}
	}
	l.sleeping = true
	return true
}

// rung is called when a worker has rung.
func (l *loop) rung() {
	if !l.closed {
		l.p.bells[l.index].Drain()
	}
}
