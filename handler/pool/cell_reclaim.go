package pool

import (
	"slices"

	"moonbridge/handler/shm"
)

// reclaim takes back the cells of a worker that has ended. Every cell is looked at: the owner word says who has claimed
// it, even if the worker died right after that. When all loops are through, the supervisor frees the slot.
func (l *loop) reclaim(w *Worker) {
	if l.closed {
		return
	}
	for i := range l.cells {
		if c := &l.cells[i]; c.ownedBy(w) {
			c.bereave(w)
		}
	}
	if l.home == w {
		l.home = nil
	}
	l.pokes = slices.DeleteFunc(l.pokes, func(p *Worker) bool { return p == w })
	if l.pair.worker == w {
		l.pair = pairState{cpu: -1}
	}
	l.epoch = ^uint64(0) // so that nobody rings it any more
	l.refresh()
	l.fresh = true // what it would have done next is now another's
	if w.left.Add(-1) == 0 {
		w.reclaimed.Store(true)
		l.p.kick()
	}
}

// ownedBy reports whether w has the cell, seen before or not.
func (c *cell) ownedBy(w *Worker) bool {
	switch c.state {
	case cellQueued:
		return c.out.Owner.Load() == shm.Owner(c.pos, uint32(w.slot)+1)
	case cellClaimed, cellCondemned:
		return c.worker == w
	}
	return false
}

// bereave decides what becomes of the exchange of a dead worker.
func (c *cell) bereave(w *Worker) {
	pos := c.pos
	c.look() // what it has done before its end
	if c.pos != pos || !c.ownedBy(w) {
		return
	}
	if c.x != nil && c.again() {
		w.retried.Add(1)
		return
	}
	x := c.leave()
	c.l.release(c)
	if x != nil {
		w.lost.Add(1)
		x.Failed(502, 0)
	}
}

// again puts an exchange into the queue once more: if nothing of a response has reached the connection, the method allows
// it (RFC 9110 §9.2.2), and the request is still there from its first byte on. A raw connection: if its socket is still here.
func (c *cell) again() bool {
	if !c.state.open() || !c.idempotent || c.retried || c.spilled || c.response.published > 0 || c.socket > socketHeld || c.l.queue.Full() {
		return false
	}
	c.retried = true
	c.drop()
	c.l.publish(c)
	return true
}
