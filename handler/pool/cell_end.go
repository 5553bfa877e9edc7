package pool

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// retryAfter is what a client is told whose request was refused because of load. It is a guess.
const retryAfter = time.Second

// finish ends an exchange. The cell is free before the connection hears of it: the next request, if one waits, finds it
// first on the list.
func (c *cell) finish() {
	result, silent := c.response.result, c.response.published == 0
	c.socket.close(result&shm.ResultReset != 0)
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

// ownStatus is what the server answers for a worker that sent nothing: the status that it asks for, if that is an error.
func ownStatus(status uint32) int {
	if status < 400 || status > 599 {
		return 502
	}
	return int(status)
}

// abandon ends everything that the worker may wait for, in an exchange that no connection waits for any more.
func (c *cell) abandon() {
	c.body.abort(shm.InCancel)
	c.poke()
	c.discard()
}

// reset resets the connection: the handler wants nothing more to do with the peer. The worker goes on with the exchange.
func (c *cell) reset() {
	if x := c.leave(); x != nil {
		c.abandon()
		x.Done(backend.EndReset)
	}
}

// violated: the worker that has this cell has broken the protocol. It is killed, and the exchange fails.
func (c *cell) violated(what string) {
	if c.worker == nil && !c.identify() {
		return
	}
	c.worker.kill("broken protocol: " + what)
	c.setState(cellKilling)
	c.failLater()
}

// corrupted: the owner word of the cell is destroyed. Which worker did that cannot be known, so all of them are replaced.
// The cell is not used again before they are gone.
func (c *cell) corrupted() {
	// If a worker is at the exchange, it has nothing more to wait for.
	c.body.abort(shm.InCancel)
	if c.worker != nil {
		c.worker.bell.Ring()
	}
	p := c.l.p
	if p.seqs.allStale() {
		p.kick()
		p.log.Error("shared memory destroyed by a worker: replacing all workers", "loop", c.l.index)
	}
	c.setState(cellLost)
	c.forgetWorker()
	c.until = p.seqs.stale.Load()
	c.failLater()
}

// failLater answers an exchange that has no worker any more, in a later turn: the connection may be in the middle of a call
// to the cell.
func (c *cell) failLater() {
	pos := c.pos
	c.l.on.Post(func() {
		if c.pos == pos && !c.state.open() {
			c.fail(502, 0)
		}
	})
}

// fail answers an exchange without the worker. It leaves the cell's state to the caller.
func (c *cell) fail(status int, retryAfter time.Duration) {
	if x := c.leave(); x != nil {
		x.Failed(status, retryAfter)
	}
}

// leave lets go of the exchange, and returns it for one last call, or nil if no one waits for it.
func (c *cell) leave() backend.Exchange {
	c.socket.close(true)
	x := c.x
	c.x = nil
	switch {
	case x == nil:
	case c.answered:
		x.Left(c)
		return nil
	case c.kind != shm.KindInterval:
		c.l.living.Add(-1)
	}
	return x
}
