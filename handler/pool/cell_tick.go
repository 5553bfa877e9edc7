package pool

import "moonbridge/handler/shm"

// tick looks at the exchange once in a while: time limits, and whatever the worker has not reported.
func (c *cell) tick(now int64) {
	if c.state == cellLost && c.l.p.seqs.oldest.Load() > c.until {
		x := c.leave()
		c.l.release(c)
		if x != nil { // a tick
			x.Failed(502, 0)
		}
		return
	}
	pos := c.pos
	c.inspect(now) // in case its bit was lost
	switch {
	case c.pos != pos:
	case c.lacksFile(now):
	case c.state == cellQueued:
		c.tickQueued(now)
	case c.state == cellClaimed:
		c.tickClaimed(now)
	}
}

func (c *cell) tickQueued(now int64) {
	q := c.l.queue
	passed := q.Passed(c.pos)
	if c.out.Owner.Load() != shm.Owner(c.pos, shm.WhoQueued) {
		return // claimed this moment, or invalid, which inspect finds next time
	}
	if q.Overwritten(c.pos) {
		c.queueAgain()
		return
	}
	if passed {
		q.Repair(c.pos)
		c.l.fresh = true
	}
	if c.outwaited(now) && c.withdraw() {
		return
	}
	limit := c.l.p.spec.Options.QueueTimeout
	if limit > 0 && now-c.queued >= int64(limit) && !c.waitsForever() && q.Withdraw(c.index, c.pos) {
		c.count(503, "queue_timeout")
		x := c.leave()
		c.l.release(c)
		if x != nil { // without a connection it waits only if a worker has claimed it and destroyed the owner word
			x.Failed(503, retryAfter)
		}
	}
}

// queueAgain gives an exchange another place in the queue, because no worker can find its old one.
func (c *cell) queueAgain() {
	l, since := c.l, c.queued
	if l.queue.Full() || !l.queue.Withdraw(c.index, c.pos) {
		return // the next tick tries again, or it is claimed all the same
	}
	l.publish(c, l.on.Now())
	c.queued = since
}

func (c *cell) tickClaimed(now int64) {
	c.watch.start(now)
	c.countWorker()
	if c.deserted(now) || c.outlived(now) {
		return
	}
	if c.kind == shm.KindMain {
		c.runsMain()
		return
	}
	limit := c.l.p.spec.Options.RequestTimeout
	if limit > 0 && c.watch.lasts(now) >= limit && !c.waitsForClient() {
		c.overdue(now)
		return
	}
	if c.out.Flags.Load()&shm.OutPending != 0 && c.watch.flush(now) {
		c.worker.ask(shm.CtlFlush)
	}
}

// deserted finds out whether the worker is at this exchange at all. Where memory was destroyed, it may have finished the
// exchange without our knowledge, or may not know of it. true: the exchange is over.
func (c *cell) deserted(now int64) bool {
	w := c.worker
	if w.out.At.Load() == shm.At(c.l.index, c.index) {
		c.watch.began = true
		if c.watch.stir(now) {
			w.bell.Ring()
		}
		return false
	}
	if c.watch.mayBegin(now) || w.gone.Load() {
		return false
	}
	pos := c.pos
	c.inspect(now) // a worker stores the result before it leaves
	if c.pos == pos && c.state == cellClaimed {
		c.violated("claimed an exchange that it is not working on")
	}
	return true
}
