package pool

import (
	"time"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

const (
	// slowTickEvery is how often a loop with exchanges in progress looks at the time. Limits are as exact as that.
	slowTickEvery = policy.SampleEvery
	// calmTickEvery is how often it does if workers are at raw connections only, which may last for hours.
	calmTickEvery = 500 * time.Millisecond
	// flushAfter is how long a worker may hold back output that is worth sending. It is asked again after the same time.
	flushAfter = 50 * time.Millisecond
	// rescueAfter is how long an exchange waits, in nanoseconds, until flags are not believed any more.
	rescueAfter = 100_000_000
	// stirEvery is how often a worker at an exchange is rung, whatever its flag says: when another one has
	// destroyed that, it may have missed something.
	stirEvery = int64(time.Second)
	// retryAfter is what a client is told that was refused because of load: it is a guess.
	retryAfter = time.Second
)

// beginSpan is how long a worker may take from claiming an exchange to beginning it: next to nothing, unless it does not
// get a processor. A variable for tests.
var beginSpan = 5 * time.Second

// tick looks at every exchange in progress: limits of time, and whatever a worker has not told, or has destroyed.
func (l *loop) tick() {
	l.ticking = false
	if l.closed {
		return
	}
	now := l.on.Now()
	for i := len(l.inUse) - 1; i >= 0; i-- {
		// What is called here may end other exchanges and begin new ones; what is missed this time has its turn next time.
		if i < len(l.inUse) {
			l.inUse[i].check(now)
		}
	}
	l.refresh()
	l.rescue(now)
	l.p.kick()
	if len(l.inUse) > 0 && !l.ticking {
		l.setTick(len(l.inUse) == l.handed && l.p.spec.Options.RequestTimeout == 0)
	}
}

// setTick sets the next slow tick; calm: there are only exchanges that nothing is expected of.
func (l *loop) setTick(calm bool) {
	if l.ticking {
		l.ticker.Stop()
	}
	l.ticking, l.calm = true, calm
	every := slowTickEvery
	if calm {
		every = calmTickEvery
	}
	l.ticker = l.on.After(every, l.slowTick)
}

// rescue rings every worker that is not known to be at an exchange, if one waits for long: a worker may sleep whose flag
// says that it does not, when another one has destroyed it.
func (l *loop) rescue(now int64) {
	for _, c := range l.inUse {
		if c.state != cellQueued || now-c.queued < rescueAfter {
			continue
		}
		for _, w := range l.workers {
			if w.claims.Load() == 0 {
				w.bell.Ring()
			}
		}
		return
	}
}

func (c *cell) check(now int64) {
	if c.state == cellLost && c.l.p.oldest.Load() > c.until {
		c.l.release(c)
		return
	}
	pos := c.pos
	c.look() // in case that its bit was lost
	switch {
	case c.pos != pos:
	case c.state == cellQueued:
		c.checkQueued(now)
	case c.state == cellClaimed:
		c.checkClaimed(now)
	}
}

// deserted finds out whether the worker is at this exchange at all: where memory was destroyed it may be through with it
// without our knowledge, or never have heard of it. true: the exchange has ended.
func (c *cell) deserted(now int64) bool {
	w := c.worker
	if w.out.At.Load() == shm.At(c.l.index, c.index) {
		c.began = true
		if now-c.stirred >= stirEvery {
			c.stirred = now
			w.bell.Ring()
		}
		return false
	}
	if !c.began && now-c.claimed < int64(beginSpan) || w.gone.Load() {
		return false
	}
	pos := c.pos
	c.look() // it stores the result before it leaves
	if c.pos == pos && c.state == cellClaimed {
		c.violated("claimed an exchange that it is not at")
	}
	return true
}

func (c *cell) checkQueued(now int64) {
	q := c.l.queue
	passed := q.Passed(c.pos)
	if c.out.Owner.Load() != shm.Owner(c.pos, shm.WhoQueued) {
		return // claimed this moment, or nonsense, which look finds next time
	}
	if passed {
		q.Repair(c.pos)
		c.l.fresh = true
	}
	limit := c.l.p.spec.Options.QueueTimeout
	if limit > 0 && now-c.queued >= int64(limit) && c.kind != shm.KindInterval && q.Withdraw(c.index, c.pos) {
		x := c.leave()
		c.l.release(c)
		x.Failed(503, retryAfter)
	}
}

func (c *cell) checkClaimed(now int64) {
	if c.claimed == 0 {
		c.claimed, c.began, c.stirred = now, false, now
	}
	c.count()
	if c.deserted(now) {
		return
	}
	limit := c.l.p.spec.Options.RequestTimeout
	if limit > 0 && now-c.claimed >= int64(limit) {
		c.overdue(now)
		return
	}
	pending := c.out.Flags.Load()&shm.OutPending != 0
	if pending && now-c.claimed >= int64(flushAfter) && now-c.flushed >= int64(flushAfter) {
		c.flushed = now
		c.worker.ask(shm.CtlFlush)
	}
}
