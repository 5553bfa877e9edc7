package engine

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
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

// pumpBody moves bytes of the body into the backend's window while both sides can. When the window is full the connection
// stops reading, and TCP slows the peer down: nothing here grows with the body.
func (c *conn) pumpBody(nowMS uint64) {
	b := &c.body
	for reads := 0; b.framing != bodyNone && c.state == stateDispatched; {
		x, y := c.exchange.running.BodyRoom()
		if len(x) == 0 {
			b.full = true
			c.updateDeadline(nowMS)
			return
		}
		if c.input.Len() > 0 {
			if !c.feed(nowMS, x, y) {
				return
			}
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
		if b.framing == bodyLength {
			c.readBody(nowMS, x)
		} else {
			c.fill(nowMS)
		}
	}
}

// readBody reads straight into the window, which saves a copy.
func (c *conn) readBody(nowMS uint64, x []byte) {
	if int64(len(x)) > c.body.left {
		x = x[:c.body.left]
	}
	if n, ok := c.read(nowMS, x); ok {
		c.gaveLength(nowMS, n)
	}
}

// feed moves body bytes from the input into the window x, y. It returns false if the body turned out to be invalid.
func (c *conn) feed(nowMS uint64, x, y []byte) bool {
	b := &c.body
	if b.framing == bodyLength {
		part := c.input.Unread()
		if int64(len(part)) > b.left {
			part = part[:b.left]
		}
		n := copy(x, part)
		n += copy(y, part[n:])
		c.input.Discard(n)
		c.gaveLength(nowMS, n)
		return true
	}
	return c.feedChunked(nowMS, x, y)
}

func (c *conn) feedChunked(nowMS uint64, x, y []byte) bool {
	b := &c.body
	n, consumed, done, err := b.chunked.Decode(x, y, c.input.Unread())
	c.input.Discard(consumed)
	b.expect = false
	if n > 0 {
		b.got += int64(n)
		c.exchange.running.BodyCommit(n)
	}
	switch {
	case err != nil:
		c.abortBody(nowMS, statusOf(err) == statusContentTooLarge)
		return false
	case b.got > c.service.limits.bodyBytes:
		c.abortBody(nowMS, true)
		return false
	case done:
		c.bodyComplete(nowMS)
	default:
		c.updateDeadline(nowMS)
	}
	return true
}

func (c *conn) gaveLength(nowMS uint64, n int) {
	b := &c.body
	b.left -= int64(n)
	b.got += int64(n)
	b.expect = false
	c.exchange.running.BodyCommit(n)
	if b.left == 0 {
		c.bodyComplete(nowMS)
	} else {
		c.updateDeadline(nowMS)
	}
}

func (c *conn) bodyComplete(nowMS uint64) {
	c.body.framing = bodyNone
	c.exchange.running.BodyEnd()
	c.updateDeadline(nowMS)
}

// abortBody gives up a body that is incomplete, invalid or too large. The response, whatever it is, is the last on the
// connection: where the next request would begin is unknown.
func (c *conn) abortBody(nowMS uint64, tooLarge bool) {
	c.body.framing = bodyNone
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

// BodyWanted implements backend.Exchange: the handler reads the body.
func (c *conn) BodyWanted() {
	if c.state == stateDispatched && c.body.expect && !c.exchange.begun {
		c.body.expect = false
		c.send(continueBytes)
		c.updateDeadline(c.l.sys.nowMS())
	}
}

var continueBytes = []byte(httpwrite.Continue)
