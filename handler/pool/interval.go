package pool

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// interval is a listener that is a timer, or of proto main: its exchanges have no peer. It belongs to loop 0. Its ticks never
// overlap, neither with each other nor with those of the same timer in another generation: see Intervals.
type interval struct {
	peerless
	l        *loop
	id       TimerID
	listener int
	spec     *listen.Listener
	timer    backend.Timer // nil: the next tick is not set
	begun    bool          // proto main: its only tick has begun
}

// intervals is how many listeners of a listen{} call are intervals or of proto main.
func intervals(spec *listen.Spec) (n int) {
	for i := range spec.Listeners {
		if spec.Listeners[i].Peerless() {
			n++
		}
	}
	return n
}

// HoldTimers keeps the timers, and the main handlers, of pools that are attached later from beginning, until StartTimers is called. Until
// then they are still those of the host that this one replaces.
func (h *Host) HoldTimers() { h.heldBack.Store(true) }

// StartTimers is called after HoldTimers, when the pools are attached.
func (h *Host) StartTimers() {
	if !h.heldBack.Swap(false) {
		return
	}
	for _, p := range h.Pools() {
		if l := p.loopAt(0); l != nil {
			l.on.Post(l.startHeldBack)
		}
	}
}

func (l *loop) startHeldBack() {
	if !l.closed && !l.p.stopping.Load() && len(l.timers) == 0 {
		l.startIntervals()
	}
}

// startIntervals sets the first tick of every interval.
func (l *loop) startIntervals() {
	for i := range l.p.spec.Listeners {
		s := &l.p.spec.Listeners[i]
		if !s.Peerless() {
			continue
		}
		t := &interval{l: l, id: l.p.timerID(i), listener: i, spec: s}
		l.timers = append(l.timers, t)
		l.p.h.cfg.Intervals.claim(t)
		t.schedule()
	}
}

// timerID is the id of the interval that is the n-th listener of the pool.
func (p *Pool) timerID(n int) TimerID {
	l := &p.spec.Listeners[n]
	id := TimerID{Name: l.Name, Main: l.Main(), Number: namesakes(p.spec.Listeners[:n], l)}
	if l.Name == "" {
		id.Pool = p.index
		return id
	}
	for _, q := range p.h.Pools() {
		if q.index < p.index {
			id.Number += namesakes(q.spec.Listeners, l)
		}
	}
	return id
}

// namesakes is how many listeners have the proto and the name of l.
func namesakes(listeners []listen.Listener, l *listen.Listener) (n int) {
	for i := range listeners {
		if s := &listeners[i]; s.Proto == l.Proto && s.Name == l.Name {
			n++
		}
	}
	return n
}

// stopIntervals stops the timers. A tick that a worker has begun is completed. One that still waits for a worker is taken
// back: the workers are about to end, and what runs the timer next must not wait for a tick that never begins.
func (l *loop) stopIntervals() {
	for _, t := range l.timers {
		t.stop()
		l.p.h.cfg.Intervals.release(t)
	}
	l.timers = nil
	l.takeBackTicks()
}

// takeBackTicks takes back the ticks that wait for a worker. They are due again.
func (l *loop) takeBackTicks() {
	for i := len(l.cells.inUse) - 1; i >= 0; i-- {
		if c := l.cells.inUse[i]; c.withoutConnection() && c.takeBack() {
			l.queue.Settle() // no worker may look at the queue any more, and nothing in it is to count as waiting
		}
	}
}

// takeBack takes a tick out of the queue. false: a worker has claimed it.
func (c *cell) takeBack() bool {
	if c.state != cellQueued || !c.l.queue.Withdraw(c.index, c.pos) {
		return false
	}
	x := c.leave()
	c.l.release(c)
	if t, ok := x.(*interval); ok {
		t.l.p.h.cfg.Intervals.takenBack(t.id)
	}
	return true
}

func (t *interval) stop() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// schedule sets the next tick. If that has to wait, it is called again later (wake).
func (t *interval) schedule() {
	l := t.l
	if l.closed || l.p.stopping.Load() || t.begun {
		return
	}
	now := l.on.Now() + l.clockAt
	due, ok := l.p.h.cfg.Intervals.next(t, now)
	if !ok {
		return
	}
	t.stop()
	t.timer = l.on.After(time.Duration(due-now), t.fire)
}

// wake has the next tick set, on the loop. t may be nil. Callable from anywhere.
func (t *interval) wake() {
	if t != nil {
		t.l.on.Post(t.schedule)
	}
}

// fire hands a tick to a worker.
func (t *interval) fire() {
	t.timer = nil
	l := t.l
	if l.closed || l.p.stopping.Load() || t.spec.Main() && l.p.mainsEnding.Load() || !l.p.h.cfg.Intervals.begin(t) {
		return
	}
	kind := uint16(shm.KindInterval)
	if t.spec.Main() {
		kind, t.begun = shm.KindMain, true
	}
	if !l.startPeerless(t, kind, t.listener, t.spec.Name) {
		t.over(true)
	}
}

// over ends a tick. The next one is set by whatever runs the timer then.
func (t *interval) over(failed bool) {
	t.l.p.h.cfg.Intervals.end(t.id)
	if t.spec.Main() {
		t.mainOver(failed)
	}
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

// Done implements backend.Exchange. A main handler that has failed ends with a reset.
func (t *interval) Done(end backend.End) { t.over(end == backend.EndReset) }

// Failed implements backend.Exchange.
func (t *interval) Failed(int, time.Duration) { t.over(true) }
