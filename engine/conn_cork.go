package engine

// While a connection has followers, what its exchanges output in a turn is sent with one call, at the end of the turn. Their
// responses are often ready together, and the calls would cost more than the responses.

// corkBytes bounds what waits for the end of the turn.
const corkBytes = 16 << 10

// cork keeps a and b for that call. false: they are not to wait.
func (c *conn) cork(nowMS uint64, a, b []byte) bool {
	if !c.socket.writable || c.spool != nil || c.files != nil || c.pipeline.first == nil && c.output.Len() == 0 {
		return false
	}
	n := len(a) + len(b)
	if c.output.Len()+n > corkBytes {
		c.uncork(nowMS)
		return false
	}
	c.output.keep(c.l.pool, a, b, n)
	c.again()
	return true
}

// uncork sends what waits.
func (c *conn) uncork(nowMS uint64) {
	if c.output.Len() == 0 || !c.socket.writable || c.spool != nil || c.files != nil {
		return
	}
	before := c.unsent()
	c.writeOutput()
	c.logSent(before - c.unsent())
	if c.socket.broken {
		c.again() // the backend may be in the middle of its work, so it is told later
		return
	}
	c.awaitPeer(nowMS)
}

// sendCorked sends what waits, and lets a backend go on that may output more.
func (c *conn) sendCorked(nowMS uint64) {
	if c.socket.writable {
		c.flush(nowMS)
	} else {
		c.giveRoom()
	}
}
