package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// An exchange is answered when the connection has the whole response although the worker still has the exchange: its handler
// works on after request:finish(), or writes what no client waits for, as with HEAD. The connection goes on. The cell stays
// in use as long as the worker has it, with the worker's time limits, and whatever becomes of the worker, nothing is lost.

// answer lets the connection go on. It has taken all of the response.
func (c *cell) answer() {
	if c.response.published == 0 {
		c.violated("complete without a response")
		return
	}
	c.answered = true
	c.l.living.Add(-1)
	if c.body.flags&shm.InEnd == 0 && !c.body.ending {
		c.body.abort(shm.InAbort) // the connection passes on no more of it
		c.poke()
	}
	end := backend.EndKeep
	if c.response.closes {
		end = backend.EndClose
	}
	c.x.Complete(c, end)
}

// cancelAnswered: no client is there any more that the handler could write for. It may still read what has arrived of the
// request.
func (c *cell) cancelAnswered() {
	c.x = nil
	if c.state.open() {
		c.body.setFlags(c.body.flags | shm.InCancel)
		c.poke()
		c.endUnfinished()
	}
}

// outlive: the worker is gone, but had published all of the response. What is left of it is delivered as usual.
func (c *cell) outlive() {
	result := uint32(shm.ResultDone)
	if c.response.closes {
		result |= shm.ResultClose
	}
	c.done(result)
}
