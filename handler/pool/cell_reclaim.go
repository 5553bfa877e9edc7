package pool

import "moonbridge/handler/shm"

// reclaim takes back the cells of a worker that has ended. Every cell is looked at: the owner word says who has claimed
// it, even if the worker died right after that. When the last loop has done it, the supervisor frees the slot.
func (l *loop) reclaim(w *Worker) {
	if l.closed {
		return
	}
	now := l.on.Now()
	for i := range l.cells.all {
		if c := &l.cells.all[i]; c.ownedBy(w) {
			c.workerGone(w, now)
		}
	}
	l.forget(w)
	l.fresh = true // another worker is to do what this one would have done next
	if w.reclaim.loopDone() {
		l.p.kick()
	}
}

// ownedBy reports whether w has the cell, whether or not that has been seen.
func (c *cell) ownedBy(w *Worker) bool {
	switch c.state {
	case cellQueued:
		return c.out.Owner.Load() == shm.Owner(c.pos, uint32(w.slot)+1)
	case cellClaimed, cellKilling:
		return c.worker == w
	}
	return false
}

// workerGone decides what becomes of the exchange of a worker that has ended.
func (c *cell) workerGone(w *Worker, now int64) {
	pos := c.pos
	c.inspect(now) // what it did before its end
	if c.pos != pos || !c.ownedBy(w) {
		return
	}
	c.workerFails(w)
	if c.x != nil && c.mayRetry() {
		c.retried = true
		c.forgetWorker()
		c.descriptor.retry()
		c.file.drop()
		c.l.publish(c, now)
		w.reclaim.retried.Add(1)
		w.notes.retried()
		return
	}
	if c.state.open() && c.response.whole && c.x != nil && !c.answered { // otherwise it is answered another way, perhaps in a moment
		c.outlive()
		return
	}
	killed := c.state == cellKilling // as far as the log is concerned, the exchange was over then
	if killed {
		c.takeVerbs() // they say which messages it has worked on
	}
	if !killed {
		c.count(502, "worker ended")
	}
	x := c.leave()
	c.l.release(c)
	if x == nil {
		return
	}
	if !killed {
		w.reclaim.lost.Add(1)
	}
	x.Failed(502, 0)
}

// mayRetry reports whether the exchange may be given to another worker: once, if the method allows it (RFC 9110 §9.2.2),
// the worker has not begun a response, and the window still holds the request from its first byte. A raw connection: if
// its socket is still here.
func (c *cell) mayRetry() bool {
	return c.state.open() && c.idempotent && !c.retried && !c.body.spilled && c.response.published == 0 &&
		c.descriptor.mayRetry() && !c.l.queue.Full()
}
