package engine

// Output implements backend.Exchange. The bytes go straight to the socket from where they are, and what the socket does not
// take goes into the output, up to its bound. The last part of a response is taken whole (it is at most a window), so that
// a slow reader costs some memory but occupies no worker.
func (c *conn) Output(a, b []byte, last bool) int {
	c.exchange.begun = c.exchange.begun || c.exchange.beginsFinal(a)
	if c.socket.broken {
		return len(a) + len(b)
	}
	taken := c.takeOutput(c.l.sys.nowMS(), a, b, last)
	a, b = a[:min(taken, len(a))], b[:max(0, taken-len(a))]
	if record := c.exchange.record; record != nil && !c.socket.broken {
		record.Response.Write(a)
		record.Response.Write(b)
	}
	if !c.exchange.begun {
		c.tookInterim(a, b)
	}
	return taken
}

// takeOutput sends what the socket takes of a and b, keeps what the output may hold of the rest, and returns how much that
// is together. A broken connection takes everything.
func (c *conn) takeOutput(nowMS uint64, a, b []byte, last bool) int {
	total := len(a) + len(b)
	stalled := c.output.Len() > 0
	sent := c.write(a, b)
	if sent == total || c.socket.broken {
		c.updateDeadline(nowMS)
		return total
	}
	room := total
	if !last {
		room = max(0, c.service.limits.outputBytes-c.output.Len())
	}
	restA, restB := from(a, b, sent)
	taken := sent + c.output.keep(c.l.pool, restA, restB, room)
	c.exchange.wantsRoom = taken < total
	if !stalled {
		// Otherwise the peer has taken nothing, however often a handler adds to what waits for it.
		c.updateDeadline(nowMS)
	}
	return taken
}

// write writes a, then b, as far as the socket takes them now and nothing else waits to be sent.
func (c *conn) write(a, b []byte) (n int) {
	if c.output.Len() > 0 {
		return 0
	}
	n = c.socket.write(&c.l.sys, a, b)
	if c.socket.broken {
		// The backend is in the middle of its work, so it is told later.
		c.again()
	}
	return n
}

// send sends bytes of the engine's own.
func (c *conn) send(p []byte) {
	n := c.write(p, nil)
	if !c.socket.broken {
		c.output.Append(c.l.pool, p[n:])
	}
}

// flush sends what waits in the output, after the socket has become writable.
func (c *conn) flush(nowMS uint64) {
	for c.output.Len() > 0 && c.socket.writable {
		n := c.socket.write(&c.l.sys, c.output.Unsent(), nil)
		if c.socket.broken {
			c.close()
			return
		}
		c.output.Discard(c.l.pool, n)
	}
	c.updateDeadline(nowMS)
	if c.exchange.wantsRoom && c.output.Len() <= c.service.limits.outputBytes/2 {
		c.exchange.wantsRoom = false
		c.exchange.running.OutputRoom()
	}
	if c.state == stateWriting && c.output.Len() == 0 {
		c.finish(nowMS)
	}
}
