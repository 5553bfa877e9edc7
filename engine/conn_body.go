package engine

import (
	"moonbridge/httpparse"
)

// body is the body of the request in progress, which the backend takes while its handler runs.
type body struct {
	httpparse.Body
	full bool // the backend had no room: it will call BodyRoom
}

// pumpBody moves bytes of the body into the backend's window while both sides can. When the window is full the connection
// stops reading, and TCP slows the peer down: nothing here grows with the body.
func (c *conn) pumpBody(nowMS uint64) {
	for reads := 0; c.body.Missing() && c.state == stateDispatched; {
		x, y := c.exchange.running.BodyRoom()
		if len(x) == 0 {
			c.body.full = true
			c.updateDeadline(nowMS)
			return
		}
		if c.input.Len() > 0 {
			c.feed(nowMS, x, y)
			continue
		}
		if !c.socket.readable {
			return
		}
		if reads == readsPerTurn {
			c.again()
			return
		}
		reads++
		if x = c.body.Direct(x); len(x) > 0 {
			c.readBody(nowMS, x)
		} else {
			c.fill(nowMS)
		}
	}
}

// wantsBody reports whether bytes of a body would be taken if there were any.
func (c *conn) wantsBody() bool {
	switch c.state {
	case stateBody, stateSpooling:
		return true
	}
	return c.state == stateDispatched && c.body.Missing() && !c.body.full && !c.body.Expecting()
}

// readBody reads straight into the window, which saves a copy.
func (c *conn) readBody(nowMS uint64, x []byte) {
	if n, ok := c.read(nowMS, x); ok {
		c.body.Took(n)
		c.exchange.running.BodyCommit(n)
		c.bodyMoved(nowMS)
	}
}

// feed moves body bytes from the input into the window x, y.
func (c *conn) feed(nowMS uint64, x, y []byte) {
	before := c.body.TrailerLen()
	n, consumed, err := c.body.Move(x, y, c.input.Unread())
	if added := c.body.TrailerLen() - before; added > 0 {
		c.keepTrailer(c.input.Unread()[consumed-added : consumed])
	}
	c.input.Discard(consumed)
	if n > 0 {
		c.exchange.running.BodyCommit(n)
	}
	if err != nil {
		c.countBody(err.Error())
		c.abortBody(nowMS, httpparse.StatusOf(err) == statusContentTooLarge)
		return
	}
	c.bodyMoved(nowMS)
}

func (c *conn) bodyMoved(nowMS uint64) {
	if !c.body.Missing() {
		c.passTrailer()
		c.exchange.running.BodyEnd()
	}
	c.updateDeadline(nowMS)
}

// abortBody gives up a body that is incomplete, invalid or too large. The response, whatever it is, is the last on the
// connection: where the next request would begin is unknown.
func (c *conn) abortBody(nowMS uint64, tooLarge bool) {
	c.body.Abort()
	c.exchange.persistent = false
	c.exchange.running.BodyAbort(tooLarge)
	c.updateDeadline(nowMS)
}

// BodyRoom implements backend.Exchange: the window has room again.
func (c *conn) BodyRoom() {
	if c.state != stateDispatched {
		return
	}
	nowMS := c.l.sys.nowMS()
	c.body.full = false
	c.updateDeadline(nowMS)
	c.advance(nowMS)
}
