package worker

import (
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// bodyFraming is how the end of a request body is found (RFC 9112 §6.3).
type bodyFraming uint8

const (
	bodyNone    bodyFraming = iota // no byte of a body is missing
	bodyLength                     // body.left bytes are missing
	bodyChunked                    // the last chunk is missing
)

// connBody is what is known of a request body.
type connBody struct {
	framing bodyFraming
	left    int64 // bodyLength: bytes missing
	got     int64 // bytes put into the in-window
	chunked httpparse.Chunked
	expect  bool // Expect: 100-continue is not answered yet (RFC 9110 §10.1.1)
}

// room is how many bytes go into the in-window.
func (c *conn) room() uint64 { return uint64(len(c.inWin)) - (c.inHead - c.out.InTail.Load()) }

// pump moves head block and body into the in-window as far as there is room, without blocking. Where it is full the socket
// is not read, and TCP tells the peer: nothing here grows with the body.
func (c *conn) pump() (moved bool) {
	for !c.broken {
		x, y := shm.Ring(c.inWin, c.inHead, c.room())
		b := &c.body
		switch {
		case len(c.spill) == 0 && b.framing == bodyNone:
			if c.running && c.flags&(shm.InEnd|shm.InAbort) == 0 {
				c.setFlags(c.flags | shm.InEnd) // after the last InHead
				moved = true
			}
			return moved
		case len(x) == 0:
			return moved
		case len(c.spill) > 0:
			n := copy(x, c.spill)
			n += copy(y, c.spill[n:])
			c.spill = c.spill[n:]
			c.put(n)
		case c.input.len() > 0 && b.framing == bodyLength:
			part := c.input.unread()
			part = part[:min(int64(len(part)), b.left)]
			n := copy(x, part)
			n += copy(y, part[n:])
			c.input.discard(n)
			c.gotLength(n)
		case c.input.len() > 0:
			c.decode(x, y)
		case b.framing == bodyLength: // straight into the window
			n := c.read(x[:min(int64(len(x)), b.left)])
			if n == 0 {
				return c.bodyBrokeOff() || moved
			}
			c.gotLength(n)
		case !c.fill():
			return c.bodyBrokeOff() || moved
		}
		moved = true
	}
	return moved
}

// put says that n more bytes are in the in-window.
func (c *conn) put(n int) {
	c.inHead += uint64(n)
	c.in.InHead.Store(c.inHead)
}

func (c *conn) gotLength(n int) {
	b := &c.body
	b.expect = false
	b.got += int64(n)
	if b.left -= int64(n); b.left == 0 {
		b.framing = bodyNone
	}
	c.put(n)
}

// decode moves bytes of a chunked body from the input into the window x, y.
func (c *conn) decode(x, y []byte) {
	b := &c.body
	n, consumed, done, err := b.chunked.Decode(x, y, c.input.unread())
	c.input.discard(consumed)
	b.expect = false
	b.got += int64(n)
	c.put(n)
	switch {
	case err != nil:
		c.abortBody(statusOf(err) == 413)
	case b.got > c.lim.bodyBytes:
		c.abortBody(true)
	case done:
		b.framing = bodyNone
	}
}

// bodyBrokeOff looks why no byte came, and ends the body if none will.
func (c *conn) bodyBrokeOff() bool {
	if c.eof {
		c.abortBody(false)
	}
	return c.eof
}

// abortBody gives up a body that is invalid, too large, or does not come. The response, whatever it is, is the last on the
// connection: where the next request would begin is unknown.
func (c *conn) abortBody(tooLarge bool) {
	c.body.framing = bodyNone
	c.persistent = false
	flags := c.flags | shm.InAbort
	if tooLarge {
		flags |= shm.InTooLarge
	}
	c.setFlags(flags)
}
