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
	result := c.response.result
	c.descriptor.close(result&shm.ResultReset != 0)
	status := 0
	if c.answers(result) {
		status = c.ownStatus(result >> shm.ResultStatusShift)
	}
	x := c.leave()
	c.l.release(c)
	if x == nil {
		return
	}
	switch {
	case result&shm.ResultReset != 0:
		x.Done(backend.EndReset)
	case status != 0:
		x.Failed(status, 0)
	case result&shm.ResultClose != 0:
		x.Done(backend.EndClose)
	default:
		x.Done(backend.EndKeep)
	}
}

// answers reports whether the server has to answer in place of the worker, which has output nothing, or nothing but interim
// responses.
func (c *cell) answers(result uint32) bool {
	return c.kind == shm.KindHTTP && result&shm.ResultReset == 0 && (c.response.published == 0 || result>>shm.ResultStatusShift != 0)
}

// ownStatus is what the server answers for a worker that sent nothing: the status that it asks for, if that is an error. Then
// the worker has reported why.
func (c *cell) ownStatus(status uint32) int {
	if status < 400 || status > 599 {
		c.count(502, "no response from the worker")
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
	c.failLater("broken protocol")
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
	c.failLater("shared memory destroyed")
}

// failLater answers an exchange that has no worker any more, in a later turn: the connection may be in the middle of a call
// to the cell.
func (c *cell) failLater(cause string) {
	pos := c.pos
	c.l.on.Post(func() {
		if c.pos == pos && !c.state.open() {
			c.failEarly(502, cause)
		}
	})
}

// failEarly answers an exchange whose worker may still run the handler. A tick or an event of a WebSocket needs no answer, and is not over
// before the worker is gone: the next one must not overlap with it.
func (c *cell) failEarly(status int, cause string) {
	if !c.waitsForever() {
		c.fail(status, 0, cause)
	}
}

// fail answers an exchange without the worker. It leaves the cell's state to the caller.
func (c *cell) fail(status int, retryAfter time.Duration, cause string) {
	c.count(status, cause)
	if x := c.leave(); x != nil {
		x.Failed(status, retryAfter)
	}
}

// leave lets go of the exchange, and returns it for one last call, or nil if nothing waits for it.
func (c *cell) leave() backend.Exchange {
	c.descriptor.close(true)
	x := c.x
	c.x = nil
	switch {
	case x == nil:
	case c.answered:
		x.Left(c)
		return nil
	case !c.withoutConnection():
		c.l.living.Add(-1)
	}
	return x
}
