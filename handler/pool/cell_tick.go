package pool

import (
	"time"

	"moonbridge/handler/shm"
)

const (
	// flushAfter is how long a worker may hold back output that is worth sending. It is asked again after the same time.
	flushAfter = 50 * time.Millisecond
	// stirEvery is how often a worker at an exchange is rung, in nanoseconds, whatever its flag says: when another one has
	// destroyed that, it may have missed something.
	stirEvery = 1_000_000_000
)

// beginSpan is how long a worker may take from claiming an exchange to beginning it: next to nothing, unless it does not
// get a processor. A variable for tests.
var beginSpan = 5 * time.Second

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
