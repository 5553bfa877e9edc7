package engine

import "moonbridge/handler/backend"

// lingering counts what a connection throws away after its last response.
type lingering struct {
	bytes int32 // at most drainBytesMax and one read more
}

// discard counts n more bytes. It reports whether the peer has sent too many.
func (g *lingering) discard(n int) (tooMany bool) {
	g.bytes += int32(n)
	return int(g.bytes) > drainBytesMax
}

// linger closes our side of the connection and waits, for a short time, until the peer has closed its own: a close with
// bytes unread would make the kernel send a RST, which may destroy the response on its way (RFC 9112 §9.6).
func (c *conn) linger(nowMS uint64) {
	more := c.socket.eof || c.service.limits.drainMS != 0
	if farewell := c.l.sys.farewell; farewell != nil && !farewell(c.socket.fd, more) {
		c.awaitFarewell(nowMS)
		return
	}
	if c.socket.eof || c.service.limits.drainMS == 0 {
		c.close()
		return
	}
	c.l.sys.shutdownWrite(c.socket.fd)
	c.state = stateLingering
	c.input.Release(c.l.pool)
	c.setTimeout(nowMS, c.service.limits.drainMS)
	if c.socket.readable {
		c.again()
	}
}

// awaitFarewell waits until the socket has taken the last words in TLS. They count as a byte of output: see tlsLoop.write.
func (c *conn) awaitFarewell(nowMS uint64) {
	c.exchange.end = backend.EndClose
	c.state = stateWriting
	c.holdBack(nowMS)
}

// discard reads and throws away what the peer of a lingering connection still sends.
func (c *conn) discard(nowMS uint64) {
	for reads := 0; c.socket.readable && c.state == stateLingering; reads++ {
		if reads == readsPerTurn {
			c.again()
			return
		}
		// The room is never committed, so the bytes are gone.
		n, ok := c.read(nowMS, c.input.Reserve(c.l.pool, roomMin))
		if !ok {
			return
		}
		if c.lingering.discard(n) {
			c.reset()
		}
	}
}
