package pool

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// retryAfter is what a client is told that was refused because of load: it is a guess.
const retryAfter = time.Second

// finish ends an exchange. The cell is free before the connection hears of it: the next request, if one waits, finds it
// first on the list.
func (c *cell) finish() {
	result, silent := c.response.result, c.response.published == 0
	c.closeSocket(result&shm.ResultReset != 0)
	x := c.leave()
	c.l.release(c)
	if x == nil {
		return
	}
	switch {
	case result&shm.ResultReset != 0:
		x.Done(backend.EndReset)
	case silent && c.kind == shm.KindHTTP:
		x.Failed(ownStatus(result>>shm.ResultStatusShift), 0)
	case result&shm.ResultClose != 0:
		x.Done(backend.EndClose)
	default:
		x.Done(backend.EndKeep)
	}
}

// ownStatus is what the server answers for a worker that sent nothing: what it asks for, if that is an error.
func ownStatus(status uint32) int {
	if status < 400 || status > 599 {
		return 502
	}
	return int(status)
}

// Cancel implements backend.Running. What no worker has begun is withdrawn; otherwise the output is thrown away until the
// worker is through with it.
func (c *cell) Cancel() {
	c.leave()
	switch {
	case c.state == cellDone:
		c.l.release(c)
	case !c.state.open():
	case c.l.queue.Withdraw(c.index, c.pos):
		c.l.release(c)
	default:
		c.abandon()
	}
}

// abandon has everything end that the worker may wait for in an exchange that nobody waits for any more.
func (c *cell) abandon() {
	c.spill = nil
	c.setFlags(c.flags&^shm.InWantRoom | shm.InCancel)
	c.poke()
	c.swallow()
}

// reset: the handler has had enough of the peer, and goes on without it.
func (c *cell) reset() {
	if x := c.leave(); x != nil {
		c.abandon()
		x.Done(backend.EndReset)
	}
}

// violated: the worker that has this cell has written what cannot be. It is killed, and the exchange fails.
func (c *cell) violated(what string) {
	if c.worker == nil && !c.identify() {
		return
	}
	c.worker.condemn("broken protocol: " + what)
	c.setState(cellCondemned)
	c.failLater()
}

// corrupted: the owner word of the cell is destroyed. Who did that cannot be known, so all workers are replaced. The cell
// is not used again before they are gone.
func (c *cell) corrupted() {
	// A worker that is at it waits for nothing more.
	c.spill = nil
	c.setFlags(c.flags&^shm.InWantRoom | shm.InCancel)
	if c.worker != nil {
		c.worker.bell.Ring()
	}
	if c.l.p.recycleAll() {
		c.l.p.log.Error("shared memory destroyed by a worker: replacing all workers", "loop", c.l.index)
	}
	c.setState(cellLost)
	c.drop()
	c.until = c.l.p.recycleTo.Load()
	c.failLater()
}

// failLater answers an exchange that nobody works at any more, in a turn of its own: the connection may be in the middle
// of a call of ours.
func (c *cell) failLater() {
	pos := c.pos
	c.l.on.Post(func() {
		if c.pos == pos && !c.state.open() {
			c.fail(502, 0)
		}
	})
}

// fail answers an exchange without the worker. The cell's state is the caller's business.
func (c *cell) fail(status int, retryAfter time.Duration) {
	if x := c.leave(); x != nil {
		x.Failed(status, retryAfter)
	}
}

// leave lets go of the exchange: no call is made on it after the one that the caller may make.
func (c *cell) leave() backend.Exchange {
	c.closeSocket(true)
	x := c.x
	if x != nil && c.kind != shm.KindInterval {
		c.l.living.Add(-1)
	}
	c.x = nil
	return x
}
