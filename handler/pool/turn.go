package pool

import (
	"slices"
	"time"
)

// How a loop and its workers wake each other. Isolation costs by the wake-up, not by the exchange, so:
//
//   - Each loop has a home worker, and rings it once at the end of a turn, and only if it sleeps.
//   - With exchanges in progress the loop gives its CPU away once before it blocks. The home worker, which is kept on the
//     same CPU, has usually finished the batch when the loop comes back.
//   - Other workers are woken when exchanges wait and those that are awake do not get to them: see wakeOthers.
//   - Whoever goes to sleep says so first, then looks again, then blocks. Both sides change the memory first and look at the
//     other's flag then, with full barriers, so that one of them sees the other.

const (
	// eagerSpan is for how long workers are woken at once after one was found blocked: handlers that block come in flocks.
	eagerSpan = 10_000_000 // ns
	// stallSpan is after how long without a finished exchange one more worker is woken although those that are awake are
	// computing, or would if they got a CPU: there may be a CPU free.
	stallSpan = 1_000_000 // ns
	// wakeSpan is how long a woken worker may take until it shows.
	wakeSpan = 50_000 // ns
	// lookAgain is when a loop that has gone to sleep beside waiting exchanges looks what has become of them.
	lookAgain = time.Millisecond
)

// wakeState is what wakeOthers remembers.
type wakeState struct {
	finished uint64 // exchanges finished by all workers, when last looked at
	since    int64  // time of the last progress; 0: nothing waited then
	eager    int64  // until this time further workers are woken at once
	woken    int    // workers woken
	at       int64  // at this time
	alarm    bool   // a turn will come in lookAgain
}

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

// refresh brings the list of workers up to date. Those at raw connections are not on it: nobody knows when they come back.
func (l *loop) refresh() {
	epoch := l.p.epoch.Load()
	if epoch == l.epoch {
		return
	}
	l.epoch = epoch
	clear(l.workers)
	l.workers = l.workers[:0]
	for i := range l.p.slots {
		if w := l.p.slots[i].Load(); w != nil && w.serving.Load() && w.away.Load() == 0 {
			l.workers = append(l.workers, w)
		}
	}
	there := slices.Contains(l.workers, l.home)
	if there && l.home.home == l.index {
		return
	}
	for _, w := range l.workers {
		if w.home == l.index {
			l.home = w
			return
		}
	}
	if there {
		return
	}
	l.home = nil
	if n := len(l.workers); n > 0 {
		l.home = l.workers[l.index%n] // somebody else's, for the time being
	}
}

// waiting is how many exchanges may wait for a worker. Callable from anywhere.
func (l *loop) waiting() int { return l.queue.Waiting() }

// wakeOthers wakes further workers if exchanges wait that nobody gets to. Waking one that is not needed costs more than the
// exchange that it takes, and leaving one asleep beside a handler that blocks costs its whole time, so it looks closely:
// workers that are awake but blocked in the kernel are in handlers that wait for something, and others have to take over;
// workers that run, or would if there was a CPU for them, will be through soon.
func (l *loop) wakeOthers() {
	s := &l.wake
	if l.queue.Len() == 0 || l.queue.Settle() == 0 {
		s.since = 0
		return
	}
	l.refresh()
	l.idle = l.idle[:0]
	finished := uint64(0)
	for _, w := range l.workers {
		finished += w.out.Finished.Load()
		if w.out.Asleep.Load() != 0 && w.claims.Load() == 0 {
			l.idle = append(l.idle, w)
		}
	}
	if len(l.idle) == 0 {
		s.since = 0
		return // they all work: whoever is through looks at the queue
	}
	now := l.on.Clock()
	if s.since == 0 || finished != s.finished {
		s.finished, s.since = finished, now
	}
	n := 0
	switch {
	case now < s.eager:
		n = l.halfWaiting()
	case l.allBlocked():
		s.eager = now + eagerSpan
		n = l.halfWaiting()
	case now-s.since >= stallSpan:
		s.since = now
		n = 1
	}
	l.wakeIdle(n, now)
	l.lookAgain()
}

func (l *loop) halfWaiting() int { return (min(l.queue.Len(), l.open) + 1) / 2 }

// allBlocked reports whether no worker that is awake can be seen to run.
func (l *loop) allBlocked() bool {
	if w := l.home; w != nil && w.out.Asleep.Load() == 0 && w.runs() {
		return false
	}
	for _, w := range l.workers {
		if w != l.home && w.out.Asleep.Load() == 0 && w.runs() {
			return false
		}
	}
	return true
}

// wakeIdle wakes n of the idle workers, those included that were woken a moment ago.
func (l *loop) wakeIdle(n int, now int64) {
	s := &l.wake
	if now-s.at >= wakeSpan {
		s.woken = 0
	}
	n = min(n-s.woken, len(l.idle))
	if n <= 0 {
		return
	}
	for _, w := range l.idle[:n] {
		w.poke()
	}
	s.woken += n
	s.at = now
}

// lookAgain has a turn come soon, if nothing else causes one: the worker that runs now may block in its next handler.
func (l *loop) lookAgain() {
	if !l.wake.alarm {
		l.wake.alarm = true
		l.on.After(lookAgain, l.alarmed)
	}
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
			w.pinned.Store(true)
		}
	case !short:
		l.unpair(w)
	}
}

// unpair lets the paired worker run anywhere, and goes on with another one.
func (l *loop) unpair(next *Worker) {
	s := &l.pair
	if w := s.worker; w != nil && w.pinned.Swap(false) && w.serving.Load() {
		l.p.cpus.release(int(w.pid.Load()))
	}
	s.worker, s.cpu = next, -1
}
