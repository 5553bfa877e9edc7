package engine

// reset closes the connection with a RST: the peer must not take what it has for a complete response.
func (c *conn) reset() {
	if c.state == stateClosed {
		return
	}
	if c.pipeline != nil {
		c.uncork(c.l.sys.nowMS()) // the responses before are complete
	}
	c.l.sys.resetOnClose(c.socket.fd)
	c.close()
}

// close is where every connection ends. Everything that it holds is given back; the descriptor is closed at the end of the
// turn.
func (c *conn) close() {
	if c.state == stateClosed {
		return
	}
	c.state = stateClosed
	if running := c.exchange.running; running != nil {
		c.exchange.leave()
		running.Cancel()
	}
	if c.pipeline != nil {
		c.cancelFollowers()
		c.logUnsent()
	}
	if c.remains {
		c.cancelRemainders()
	}
	if c.exchange.record != nil {
		c.logAccess(false)
	}
	if c.pipeline != nil {
		c.endPipeline()
	}
	c.input.Release(c.l.pool)
	c.output.Release(c.l.pool)
	c.dropSpool()
	c.dropFiles()
	if c.l.e.connState != nil {
		c.report(ConnClosed)
	}
	c.forget()
	c.l.sys.close(c.socket.fd)
}

// forget undoes newConn, except for the descriptor.
func (c *conn) forget() {
	c.state = stateClosed
	c.l.sys.cancelTimer(&c.deadline.timer)
	if len(c.l.values) > 0 {
		delete(c.l.values, c)
	}
	c.l.conns.Remove(c)
	if c.l.multiplexed == nil {
		c.l.e.conns.Add(-1)
	}
}
