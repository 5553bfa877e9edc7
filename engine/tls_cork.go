package engine

// The last part of a response after which the connection closes waits for close_notify, which follows in the same turn. Both are sent
// with one call, in one segment, and with the FIN: each segment more would cost both ends about as much as the encryption.

// cork encrypts a, then b from byte n on, and keeps the ciphertext for farewell. false: it is to be sent now.
func (l *tlsLoop) cork(c *tlsConn, a, b []byte, n int) bool {
	total := len(a) + len(b)
	if c.held.Len() > 0 || c.failed || total-n > corkBytes {
		return false
	}
	if _, err := l.seal(c, a, b, n, total); err != nil {
		return false // the next attempt fails, too
	}
	c.held.Append(l.pool, l.cipher)
	l.cipher = l.cipher[:0]
	c.corked = true
	l.corked.add(c)
	return true
}

// uncork sends what waits at the end of the turn, if the exchange was not ended.
func (l *tlsLoop) uncork(c *tlsConn) {
	if !c.corked || l.conns[c.fd] != c {
		return
	}
	c.push()
	if k, ok := c.handler.(*conn); ok && c.held.Len() > 0 && !c.failed {
		c.withheld = true
		k.holdBack(l.plain.nowMS())
	}
}

// holdBack makes the connection wait for its socket, which has not taken everything that was reported as written: see tlsLoop.write.
func (c *conn) holdBack(nowMS uint64) {
	c.output.Append(c.l.pool, []byte{0})
	c.socket.writable = false // though the last write was not short
	c.awaitPeer(nowMS)
}
