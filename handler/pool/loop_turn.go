package pool

import "math/bits"

// How a loop and its workers wake each other. Isolation costs by the wake-up, not by the exchange, so:
//
//   - Each loop has a home worker, and rings it once at the end of a turn, and only if it sleeps.
//   - With exchanges in progress the loop gives its CPU away once before it blocks. The home worker, which is kept on the
//     same CPU, has usually finished the batch when the loop comes back.
//   - Other workers are woken when exchanges wait and those that are awake do not get to them: see wakeOthers.
//   - Whoever goes to sleep says so first, then looks again, then blocks. Both sides change the memory first and look at the
//     other's flag then, with full barriers, so that one of them sees the other.

// BeginTurn implements backend.Turn.
func (l *loop) BeginTurn() {
	if l.sleeping {
		l.flag.Store(0)
		l.sleeping = false
	}
}

// EndTurn implements backend.Turn. The order matters.
func (l *loop) EndTurn() (again bool) {
	if l.open == 0 && len(l.pokes) == 0 {
		return false
	}
	l.collect() // what has been finished during the turn
	l.ring()    // one ring for all that the turn has published
	if l.open == 0 {
		return false
	}
	if l.open == l.handed {
		return !l.sleep() // nobody is at anything that will be through soon
	}
	yield() // once: more often makes the system prefer others for too long
	if l.collect() {
		l.ring() // collecting makes room, and may have begun further exchanges
	}
	if l.open == 0 {
		return false
	}
	l.keepPair()
	l.wakeOthers()
	return !l.sleep()
}

// collect looks at the cells that workers have set a bit for. It reports whether there were any.
func (l *loop) collect() (found bool) {
	for i := range l.ready {
		w := &l.ready[i]
		if w.Load() == 0 {
			continue
		}
		found = true
		for word := w.Swap(0); word != 0; word &= word - 1 {
			if j := i*64 + bits.TrailingZeros64(word); j < len(l.cells) {
				l.cells[j].look()
			}
		}
	}
	return found
}

// rung is called when a worker has rung.
func (l *loop) rung() {
	if !l.closed {
		l.p.bells[l.index].Drain()
	}
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

// ring wakes those that something has changed for, if they sleep.
func (l *loop) ring() {
	if l.fresh {
		l.fresh = false
		l.refresh()
		if l.home != nil {
			l.home.poke()
		} else {
			l.p.kick() // there is no worker yet
		}
	}
	for i, w := range l.pokes {
		w.poke()
		l.pokes[i] = nil
	}
	l.pokes = l.pokes[:0]
}
