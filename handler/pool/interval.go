package pool

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// interval is a listener that is a timer: an exchange without a peer. It belongs to loop 0, and never overlaps with itself:
// the next tick is set when the last one is over.
type interval struct {
	l        *loop
	listener int
	spec     *listen.Listener
	timer    backend.Timer
	due      int64 // time of the tick that is set, or in progress
}

// startIntervals sets the first tick of every interval.
func (l *loop) startIntervals() {
	for i := range l.p.spec.Listeners {
		s := &l.p.spec.Listeners[i]
		if s.Proto != "interval" {
			continue
		}
		t := &interval{l: l, listener: i, spec: s, due: l.on.Now() + int64(s.Delay)}
		l.timers = append(l.timers, t)
		t.timer = l.on.After(s.Delay, t.fire)
	}
}

// stopIntervals ends the timers. A tick in progress is completed.
func (l *loop) stopIntervals() {
	for _, t := range l.timers {
		if t.timer != nil {
			t.timer.Stop()
			t.timer = nil
		}
	}
}

// fire hands a tick to a worker. It waits for one like any exchange, but for as long as it takes.
func (t *interval) fire() {
	t.timer = nil
	l := t.l
	if l.closed || l.p.stopping.Load() {
		return
	}
	if len(l.free) == 0 || l.queue.Full() {
		t.over()
		return
	}
	l.p.inFlight.Add(1)
	c := l.take()
	if err := c.putTick(t); err != nil {
		l.release(c)
		l.p.log.Error("tick not taken", "name", t.spec.Name, "err", err)
		t.over()
		return
	}
	c.x, c.kind = t, shm.KindInterval
	l.taken.Add(1)
	l.publish(c)
}

// putTick writes a tick where the worker finds it.
func (c *cell) putTick(t *interval) error {
	b := c.l.headBlock(shm.KindInterval, t.listener)
	b.Timer = t.spec.Name
	c.flags = shm.InEnd
	return c.put(&b, nil)
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

// nextDue is when the tick after the one that was due at due comes, if that is over now: delay from now on, or strictly
// delay after it was due. A strict tick that is past already is left out: there are no bursts.
func nextDue(due, now, delay int64, strict bool) int64 {
	if !strict {
		return now + delay
	}
	if missed := (now - due) / delay; missed > 0 {
		due += missed * delay
	}
	return due + delay
}

// What follows is backend.Exchange. A tick has no response; whatever a worker writes all the same is thrown away.

func (t *interval) Output(a, b []byte, _ bool) int { return len(a) + len(b) }

func (t *interval) Done(backend.End) { t.over() }

func (t *interval) Failed(int, time.Duration) { t.over() }

func (t *interval) BodyRoom() {}

func (t *interval) BodyWanted() {}

func (t *interval) Addrs() (local, remote netip.AddrPort) { return }
