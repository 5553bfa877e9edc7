package pool

import "time"

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
