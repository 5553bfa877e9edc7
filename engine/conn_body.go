package engine

import (
	"errors"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
	"moonbridge/reactor"
)

// bodyFraming is how the end of a request body is found (RFC 9112 §6.3).
type bodyFraming uint8

const (
	bodyNone    bodyFraming = iota // no byte of a body is missing
	bodyLength                     // body.left bytes are missing
	bodyChunked                    // the last chunk is missing
)

// body is what the connection knows of a request body that the backend takes while its handler runs.
type body struct {
	framing bodyFraming
	left    int64 // bodyLength: bytes missing
	got     int64 // bytes given to the backend
	chunked httpparse.Chunked
	full    bool // the backend had no room: it calls BodyRoom
	expect  bool // Expect: 100-continue is not answered yet (RFC 9110 §10.1.1)
}

// pumpBody moves bytes of the body into the backend's window while both sides can. Where the window is full the
// connection stops reading, and TCP tells the peer: nothing here grows with the body.
func (c *conn) pumpBody() {
	b := &c.body
	for reads := 0; b.framing != bodyNone && c.state == stateDispatched; {
		x, y := c.running.BodyRoom()
		if len(x) == 0 {
			b.full = true
			c.updateDeadline()
			return
		}
		if c.in.Len() > 0 {
			if !c.feed(x, y) {
				return
			}
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
		if b.framing == bodyLength {
			c.readBody(x)
		} else {
			c.fill()
		}
	}
}

// readBody reads straight into the window: no copy on our side.
func (c *conn) readBody(x []byte) {
	if int64(len(x)) > c.body.left {
		x = x[:c.body.left]
	}
	n, errno := reactor.Read(c.fd, x)
	if c.sawRead(n, len(x), errno) {
		c.gaveLength(n)
	}
}

// feed moves body bytes from the input into the window x, y. It returns false if the body turned out to be invalid.
func (c *conn) feed(x, y []byte) bool {
	b := &c.body
	if b.framing == bodyLength {
		part := c.in.Unread()
		if int64(len(part)) > b.left {
			part = part[:b.left]
		}
		n := copy(x, part)
		n += copy(y, part[n:])
		c.in.Discard(n)
		c.gaveLength(n)
		return true
	}
	return c.feedChunked(x, y)
}

func (c *conn) feedChunked(x, y []byte) bool {
	b := &c.body
	n, consumed, done, err := b.chunked.Decode(x, y, c.in.Unread())
	c.in.Discard(consumed)
	b.expect = false
	if n > 0 {
		b.got += int64(n)
		c.running.BodyCommit(n)
	}
	switch {
	case err != nil:
		var perr *httpparse.Error
		c.abortBody(errors.As(err, &perr) && perr.Status == statusContentTooLarge)
		return false
	case b.got > c.s.limits.bodyBytes:
		c.abortBody(true)
		return false
	case done:
		c.bodyComplete()
	default:
		c.updateDeadline()
	}
	return true
}

func (c *conn) gaveLength(n int) {
	b := &c.body
	b.left -= int64(n)
	b.got += int64(n)
	b.expect = false
	c.running.BodyCommit(n)
	if b.left == 0 {
		c.bodyComplete()
	} else {
		c.updateDeadline()
	}
}

func (c *conn) bodyComplete() {
	c.body.framing = bodyNone
	c.running.BodyEnd()
	c.updateDeadline()
}

// abortBody gives up a body that is invalid or too large. The response, whatever it is, is the last on the connection:
// where the next request would begin is unknown.
func (c *conn) abortBody(tooLarge bool) {
	c.body.framing = bodyNone
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
	if c.state == stateDispatched && c.body.expect && !c.begun {
		c.body.expect = false
		c.send(continueBytes)
		c.updateDeadline()
	}
}

var continueBytes = []byte(httpwrite.Continue)
