package pool

import "slices"

// How a loop and its workers wake each other. Isolation costs by the wake-up, not by the exchange, so:
//
//   - Each loop has a home worker, and rings it once at the end of a turn, and only if it sleeps.
//   - With exchanges in progress the loop gives its CPU away once before it blocks. The home worker, which is kept on the
//     same CPU, has usually finished the batch when the loop comes back.
//   - Other workers are woken when exchanges wait and nobody finishes any: see wake.
//   - Whoever goes to sleep says so first, then looks again, then blocks. Both sides change the memory first and look at the
//     other's flag then, with full barriers, so that one of them sees the other.

const (
	// stallSpan is for how long nobody has to have finished an exchange before further workers are woken. It is also how
	// long a loop keeps turning, instead of blocking, to find that out.
	stallSpan = 50_000 // ns
	// eagerSpan is for how long workers are woken at once after a stall: handlers that block come in flocks.
	eagerSpan = 10_000_000 // ns
	// spinSpan bounds the turning all the same. Workers that sleep in the middle of an exchange look as if they could be
	// woken to take another one, until the slow tick has seen what they are at.
	spinSpan = 2_000_000 // ns
)

// wakeState is what wake remembers.
type wakeState struct {
	finished uint64 // exchanges finished by all workers, when last looked at
	since    int64  // time of the last progress; 0: nothing waited then
	spin     int64  // time since when the loop turns without progress
	eager    int64  // until this time further workers are woken at once
	woken    int    // workers woken
	at       int64  // at this time
}

// BeginTurn implements handler.Turn.
func (l *loop) BeginTurn() {
	if l.sleeping {
		l.flag.Store(0)
		l.sleeping = false
	}
}

// EndTurn implements handler.Turn. The order matters.
func (l *loop) EndTurn() (again bool) {
	if l.open == 0 && len(l.pokes) == 0 {
		return false
	}
	l.collect() // what has been finished during the turn
	l.ring()    // one ring for all that the turn has published
	if l.open == 0 {
		return false
	}
	yield()
	if l.collect() {
		l.ring() // collecting makes room, and may have begun further exchanges
	}
	if l.open == 0 {
		return false
	}
	l.keepPair()
	return l.wakeOthers() || !l.sleep()
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
		}
	}
	for i, w := range l.pokes {
		w.poke()
		l.pokes[i] = nil
	}
	l.pokes = l.pokes[:0]
}

// refresh brings the list of workers up to date.
func (l *loop) refresh() {
	epoch := l.p.epoch.Load()
	if epoch == l.epoch {
		return
	}
	l.epoch = epoch
	clear(l.workers)
	l.workers = l.workers[:0]
	for i := range l.p.slots {
		if w := l.p.slots[i].Load(); w != nil && w.serving.Load() {
			l.workers = append(l.workers, w)
		}
	}
	if slices.Contains(l.workers, l.home) {
		return
	}
	l.home = nil
	for _, w := range l.workers {
		if w.home == l.index {
			l.home = w
			return
		}
	}
	if n := len(l.workers); n > 0 {
		l.home = l.workers[l.index%n] // somebody else's, for the time being
	}
}

// waiting is how many exchanges may wait for a worker. Callable from anywhere.
func (l *loop) waiting() int { return l.queue.Waiting() }

// wakeOthers wakes further workers if exchanges wait that nobody gets to. While it is to be seen whether somebody does, it
// asks for another turn: if it let the loop block, an exchange could wait for a long handler beside a worker that sleeps.
func (l *loop) wakeOthers() (again bool) {
	s := &l.wake
	if l.queue.Len() == 0 || l.queue.Settle() == 0 {
		s.since = 0
		return false
	}
	waiting := min(l.queue.Len(), l.open)
	now := l.on.Clock()
	l.refresh()
	l.idle = l.idle[:0]
	finished := uint64(0)
	for _, w := range l.workers {
		finished += w.out.Finished.Load()
		if w.out.Asleep.Load() != 0 && w.claims.Load() == 0 {
			l.idle = append(l.idle, w)
		}
	}
	if s.since == 0 || finished != s.finished {
		s.finished, s.since, s.spin = finished, now, now
	}
	if len(l.idle) == 0 {
		return false // they all work: whoever is through looks at the queue
	}
	stalled := now-s.since >= stallSpan
	if !stalled && now >= s.eager {
		return true
	}
	n := (waiting + 1) / 2
	if now-s.at < stallSpan {
		n -= s.woken // they are on their way
	} else {
		s.woken = 0
	}
	n = min(n, len(l.idle))
	for _, w := range l.idle[:max(0, n)] {
		w.poke()
	}
	if n > 0 {
		s.woken += n
		s.at = now
	}
	if stalled {
		s.eager = now + eagerSpan
		s.since = now
	}
	return n < len(l.idle) && now-s.spin < spinSpan
}

// pairState is what keepPair remembers.
type pairState struct {
	next     int64   // time of the next look
	worker   *Worker // that the loop is paired with, or looks whether it should be
	finished uint64  // exchanges that it had finished at the last look
	cpu      int     // that it is bound to; -1: to none
}

const (
	pairEvery = 50_000_000 // ns
	// pairFinished is how many exchanges a worker finishes between two looks if they are short: at one in a millisecond
	// the loop loses more by waiting for its CPU than it wins.
	pairFinished = 50
)

// keepPair has the home worker follow the loop to the CPU that the system has put it on, as long as exchanges are short.
func (l *loop) keepPair() {
	s := &l.pair
	now := l.on.Now()
	if now < s.next || l.p.h.cfg.NoPairing || l.p.cpus.n < 2 {
		return
	}
	w := l.home
	if w != s.worker || now-s.next > pairEvery {
		// Another worker, or the loop has not been busy all the time: the count begins here.
		l.unpair(w)
		if w != nil {
			s.finished = w.out.Finished.Load()
		}
		s.next = now + pairEvery
		return
	}
	s.next = now + pairEvery
	if w == nil || w.home != l.index || w.pid.Load() == 0 {
		return
	}
	finished := w.out.Finished.Load()
	short := finished-s.finished >= pairFinished
	s.finished = finished
	cpu := currentCPU()
	switch {
	case short && cpu >= 0 && cpu != s.cpu:
		if l.p.cpus.pin(int(w.pid.Load()), cpu) {
			s.cpu = cpu
		}
	case !short:
		l.unpair(w)
	}
}

// unpair lets the paired worker run anywhere, and goes on with another one.
func (l *loop) unpair(next *Worker) {
	s := &l.pair
	if w := s.worker; w != nil && s.cpu >= 0 && w.serving.Load() {
		l.p.cpus.release(int(w.pid.Load()))
	}
	s.worker, s.cpu = next, -1
}
