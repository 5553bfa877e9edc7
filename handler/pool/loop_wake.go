package pool

import "time"

const (
	// eagerSpan is how long workers are woken at once after all of them were found blocked: handlers that block come in
	// groups.
	eagerSpan = 10 * time.Millisecond
	// stallSpan is how long no exchange may be finished before one more worker is woken although those that are awake are
	// computing, or would be if they got a CPU: there may be a CPU free.
	stallSpan = time.Millisecond
	// wakeSpan is how long a woken worker may take until that can be seen.
	wakeSpan = 50 * time.Microsecond
	// recheckAfter is when a loop that has gone to sleep while exchanges wait checks on them again.
	recheckAfter = time.Millisecond
)

// wake is what a loop remembers of the workers that it has woken besides its home worker. Times are of the loop's clock.
type wake struct {
	finished uint64 // exchanges of this loop that were finished at the last look
	since    int64  // time of the last progress; 0: no exchange waited at the last look
	eager    int64  // until then further workers are woken at once
	woken    int    // workers woken at the time at
	at       int64

	alarm   bool      // a turn will come within recheckAfter
	alarmed func()    // ends alarm; made once. The turn that it comes in is what counts
	idle    []*Worker // scratch of wakeOthers
	state   [64]byte  // scratch of Worker.runs
}

// progress notes how many exchanges of the loop have been finished by now. Those of other loops do not count: a worker that
// goes from one to the next of them need not come to this loop soon.
func (s *wake) progress(now int64, finished uint64) {
	if s.since == 0 || finished != s.finished {
		s.finished, s.since = finished, now
	}
}

// stalled reports whether nothing has been finished for stallSpan. If so, another one begins.
func (s *wake) stalled(now int64) bool {
	if now-s.since < int64(stallSpan) {
		return false
	}
	s.since = now
	return true
}

// room is how many of n workers are to be woken now: those that were woken a moment ago cannot be seen yet, and count.
func (s *wake) room(now int64, n int) int {
	if now-s.at >= int64(wakeSpan) {
		s.woken = 0
	}
	return n - s.woken
}

// wakeOthers wakes further workers if exchanges wait that no worker gets to. Waking one that is not needed costs more than
// the exchange that it takes, and leaving one asleep beside a handler that blocks costs the whole time of that handler. So
// it looks closely: workers that are awake but blocked in the kernel are in handlers that wait for something, and others
// have to take over; workers that run, or would run if there was a CPU for them, will be ready for another exchange soon.
func (l *loop) wakeOthers() {
	s := &l.wake
	if l.queue.Len() == 0 || l.queue.Settle() == 0 {
		s.since = 0
		return
	}
	l.refresh()
	l.findIdle()
	if len(s.idle) == 0 {
		s.since = 0
		return // all of them work, and each looks at the queue when it has finished
	}
	now := l.on.Clock()
	s.progress(now, l.finished)
	switch {
	case now < s.eager:
		l.wakeIdle(l.halfWaiting(), now)
	case l.allBlocked():
		s.eager = now + int64(eagerSpan)
		l.wakeIdle(l.halfWaiting(), now)
	case s.stalled(now):
		l.wakeIdle(1, now)
	}
	l.recheck()
}

// findIdle lists the workers that sleep without an exchange.
func (l *loop) findIdle() {
	s := &l.wake
	s.idle = s.idle[:0]
	for _, w := range l.roster.workers {
		if w.out.Asleep.Load() != 0 && w.claims.Load() == 0 {
			s.idle = append(s.idle, w)
		}
	}
}

func (l *loop) halfWaiting() int { return (min(l.queue.Len(), l.cells.open) + 1) / 2 }

// allBlocked reports whether no worker that is awake can be seen to run.
func (l *loop) allBlocked() bool {
	home := l.roster.home
	if home != nil && home.out.Asleep.Load() == 0 && home.runs(&l.wake.state) {
		return false
	}
	for _, w := range l.roster.workers {
		if w != home && w.out.Asleep.Load() == 0 && w.runs(&l.wake.state) {
			return false
		}
	}
	return true
}

// wakeIdle wakes n of the idle workers, those included that were woken a moment ago.
func (l *loop) wakeIdle(n int, now int64) {
	s := &l.wake
	n = min(s.room(now, n), len(s.idle))
	if n <= 0 {
		return
	}
	for _, w := range s.idle[:n] {
		w.wake()
	}
	s.woken += n
	s.at = now
}

// recheck has a turn come soon, if nothing else causes one: the worker that runs now may block in its next handler.
func (l *loop) recheck() {
	if !l.wake.alarm {
		l.wake.alarm = true
		l.on.After(recheckAfter, l.wake.alarmed)
	}
}
