package pool

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// interval is a listener that is a timer: its exchanges have no peer. It belongs to loop 0. Its ticks never overlap, since
// the next one is set when the last one is over.
type interval struct {
	peerless
	l        *loop
	listener int
	spec     *listen.Listener
	timer    backend.Timer
	due      int64 // time of the tick that is set or in progress
}

// intervals is how many listeners of a listen{} call are intervals.
func intervals(spec *listen.Spec) (n int) {
	for i := range spec.Listeners {
		if spec.Listeners[i].Interval() {
			n++
		}
	}
	return n
}

// startIntervals sets the first tick of every interval.
func (l *loop) startIntervals() {
	for i := range l.p.spec.Listeners {
		s := &l.p.spec.Listeners[i]
		if !s.Interval() {
			continue
		}
		t := &interval{l: l, listener: i, spec: s, due: l.on.Now() + int64(s.Delay)}
		l.timers = append(l.timers, t)
		t.timer = l.on.After(s.Delay, t.fire)
	}
}

// stopIntervals stops the timers. A tick in progress is completed.
func (l *loop) stopIntervals() {
	for _, t := range l.timers {
		if t.timer != nil {
			t.timer.Stop()
			t.timer = nil
		}
	}
}

// fire hands a tick to a worker.
func (t *interval) fire() {
	t.timer = nil
	l := t.l
	if l.closed || l.p.stopping.Load() {
		return
	}
	if !l.startPeerless(t, shm.KindInterval, t.listener, t.spec.Name) {
		t.over()
	}
}

// over sets the next tick.
func (t *interval) over() {
	l := t.l
	if l.closed || l.p.stopping.Load() {
		return
	}
	now := l.on.Now()
	t.due = nextDue(t.due, now, int64(t.spec.Delay), t.spec.Strict)
	t.timer = l.on.After(time.Duration(t.due-now), t.fire)
}

// nextDue is when the next tick is due, after one that was due at due and is over now: delay from now on, or, if strict,
// delay after it was due. Strict ticks that are already past are left out, so there are no bursts.
func nextDue(due, now, delay int64, strict bool) int64 {
	if !strict {
		return now + delay
	}
	if missed := (now - due) / delay; missed > 0 {
		due += missed * delay
	}
	return due + delay
}

// Done implements backend.Exchange.
func (t *interval) Done(backend.End) { t.over() }

// Failed implements backend.Exchange.
func (t *interval) Failed(int, time.Duration) { t.over() }
