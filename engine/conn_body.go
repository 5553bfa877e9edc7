package engine

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
	"moonbridge/reactor"
)

// body is a request body that the backend takes while its handler runs.
type body struct {
	httpparse.Body
	full bool // the backend had no room: it calls BodyRoom
}

// pumpBody moves bytes of the body into the backend's window while both sides can. Where the window is full the
// connection stops reading, and TCP tells the peer: nothing here grows with the body.
func (c *conn) pumpBody() {
	for reads := 0; c.body.Missing() && c.state == stateDispatched; {
		x, y := c.running.BodyRoom()
		if len(x) == 0 {
			c.body.full = true
			c.updateDeadline()
			return
		}
		if c.in.Len() > 0 {
			c.feed(x, y)
			continue
		}
		if !c.readable {
			return
		}
		if reads == readsPerTurn {
			c.again()
			return
		}
		reads++
		if x = c.body.Direct(x); len(x) > 0 {
			c.readBody(x)
		} else {
			c.fill()
		}
	}
}

// readBody reads straight into the window: no copy on our side.
func (c *conn) readBody(x []byte) {
	n, errno := reactor.Read(c.fd, x)
	if c.sawRead(n, len(x), errno) {
		c.body.Took(n)
		c.running.BodyCommit(n)
		c.bodyMoved()
	}
}

// feed moves body bytes from the input into the window x, y.
func (c *conn) feed(x, y []byte) {
	n, consumed, err := c.body.Move(x, y, c.in.Unread())
	c.in.Discard(consumed)
	if n > 0 {
		c.running.BodyCommit(n)
	}
	if err != nil {
		c.abortBody(httpparse.StatusOf(err) == statusContentTooLarge)
		return
	}
	c.bodyMoved()
}

func (c *conn) bodyMoved() {
	if !c.body.Missing() {
		c.running.BodyEnd()
	}
	c.updateDeadline()
}

// abortBody gives up a body that is invalid or too large. The response, whatever it is, is the last on the connection:
// where the next request would begin is unknown.
func (c *conn) abortBody(tooLarge bool) {
	c.body.Abort()
	c.persistent = false
	c.running.BodyAbort(tooLarge)
	c.updateDeadline()
}

// BodyRoom is called by the backend when the window has room again.
func (c *conn) BodyRoom() {
	if c.state != stateDispatched {
		return
	}
	c.body.full = false
	c.updateDeadline()
	c.advance()
}

// BodyWanted is called by the backend when the handler reads the body.
func (c *conn) BodyWanted() {
	if c.state == stateDispatched && !c.begun && c.body.Continue() {
		c.send(continueBytes)
		c.updateDeadline()
	}
}

var continueBytes = []byte(httpwrite.Continue)
