package engine

// Output implements backend.Exchange. The bytes go straight to the socket from where they are, and what the socket does not
// take goes into the output, up to its bound. The last part of a response is taken whole (it is at most a window), so that
// a slow reader costs some memory but occupies no worker.
func (c *conn) Output(a, b []byte, last bool) int {
	c.exchange.begun = c.exchange.begun || c.exchange.beginsFinal(a)
	if c.socket.broken {
		return len(a) + len(b)
	}
	var taken int
	completes := !c.exchange.begun && c.exchange.completes()
	if completes {
		taken = c.takeHead(c.l.sys.nowMS(), a, b, last)
	} else {
		taken = c.takeOutput(c.l.sys.nowMS(), a, b, last)
	}
	a, b = a[:min(taken, len(a))], b[:max(0, taken-len(a))]
	if record := c.exchange.record; record != nil && !c.socket.broken {
		record.Response.Write(a)
		record.Response.Write(b)
	}
	if !c.exchange.begun && !completes {
		c.tookInterim(a, b)
	}
	return taken
}

// takeOutput sends what the socket takes of a and b, keeps what the output may hold of the rest, and returns how much that
// is together. A broken connection takes everything.
func (c *conn) takeOutput(nowMS uint64, a, b []byte, last bool) int {
	total := len(a) + len(b)
	if c.pipeline != nil && c.cork(nowMS, a, b) {
		return total
	}
	if last && !c.exchange.persistent && c.l.sealed != nil {
		c.l.sealed.conns[c.socket.fd].final = true
	}
	stalled := c.waits()
	sent := c.write(a, b)
	c.exchange.sent(sent)
	if sent == total || c.socket.broken {
		c.updateDeadline(nowMS)
		return total
	}
	restA, restB := from(a, b, sent)
	taken := sent + c.keepOutput(nowMS, restA, restB, last)
	c.exchange.wantsRoom = taken < total
	if !stalled {
		// Otherwise the peer has taken nothing, however often a handler adds to what waits for it.
		c.awaitPeer(nowMS)
	}
	return taken
}

// keepOutput keeps what the socket does not take of a response, in memory or in the spool, and returns how many bytes it kept.
func (c *conn) keepOutput(nowMS uint64, a, b []byte, last bool) (kept int) {
	if c.files != nil {
		return c.keepAfterFile(a, b, last)
	}
	lim := &c.service.limits
	spools := lim.spoolOutput > 0 && c.exchange.traits&streams == 0
	if spools && c.staysInBackend(nowMS, len(a)+len(b), last) {
		return 0
	}
	if spools && (c.spool != nil || len(a)+len(b) > lim.outputBytes-c.output.Len()) {
		kept = c.spoolOutput(a, b)
		if c.spool != nil {
			return kept // what is in memory now is sent before the file
		}
		a, b = from(a, b, kept)
	}
	room := max(0, lim.outputBytes-c.output.Len())
	if last {
		room = len(a) + len(b)
	}
	return kept + c.output.keep(c.l.pool, a, b, room)
}

// awaitPeer begins to wait for the peer to take more output.
func (c *conn) awaitPeer(nowMS uint64) {
	if c.waits() || c.exchange.wantsRoom && c.exchange.fastCheckMS() == 0 {
		c.output.unacknowledged = c.l.sys.unacknowledged(c.socket.fd)
	}
	c.updateDeadline(nowMS)
}

// write writes a, then b, as far as the socket takes them now and nothing else waits to be sent.
func (c *conn) write(a, b []byte) (n int) {
	if c.waits() {
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
	if c.pipeline != nil && c.cork(c.l.sys.nowMS(), p, nil) {
		return
	}
	if n := c.write(p, nil); n < len(p) && !c.socket.broken {
		c.keepWhole(p[n:])
	}
}

// keepWhole keeps bytes that must not be refused, although there may be no room for them.
func (c *conn) keepWhole(p []byte) {
	kept := len(p)
	switch {
	case c.files != nil && c.files.spooled() != nil:
		kept = c.spoolAfterFile(p, nil)
	case c.files != nil:
		c.files.keep(c.l.pool, p, nil, kept)
	case c.spool != nil && c.spool.output != nil:
		kept = c.appendSpooled(c.spool.output, p, nil)
	default:
		c.output.Append(c.l.pool, p)
	}
	if kept < len(p) {
		c.breakOff() // the spool is full, and memory is not in this place of the order
	}
}

// waits reports whether output waits for the peer.
func (c *conn) waits() bool { return c.output.Len() > 0 || c.files != nil }

// flush sends what waits, after the socket has become writable.
func (c *conn) flush(nowMS uint64) {
	before := c.unsent()
	c.sendWaiting()
	if c.pipeline != nil {
		c.logSent(before - c.unsent())
	}
	switch {
	case c.socket.broken:
		c.close()
	case c.state != stateClosed:
		c.flushed(nowMS)
	}
}

// writeOutput sends what waits in the output, as far as the socket takes it now.
func (c *conn) writeOutput() {
	n := c.socket.write(&c.l.sys, c.output.Unsent(), nil)
	c.output.Discard(c.l.pool, n)
	c.exchange.sent(n)
}

// flushed: some output was sent.
func (c *conn) flushed(nowMS uint64) {
	c.awaitPeer(nowMS)
	c.giveRoom()
	if c.state == stateWriting && !c.waits() {
		c.finish(nowMS)
	}
}

// giveRoom lets the backend go on, if it waits for that and enough output was sent.
func (c *conn) giveRoom() {
	if c.exchange.wantsRoom && c.roomForBackend() {
		c.exchange.wantsRoom = false
		c.exchange.running.OutputRoom()
	}
}

// roomForBackend reports whether enough output was sent for the backend to go on.
func (c *conn) roomForBackend() bool {
	if c.files != nil {
		return c.roomAfterFile()
	}
	enough := int64(c.service.limits.outputBytes / 2)
	if c.spool == nil {
		return int64(c.output.Len()) <= enough
	}
	own, shared := c.roomOf(c.spool.output)
	return min(own, shared) >= enough
}

// flushLater schedules flush for the next turn: the socket has room already, so it will not report that.
func (c *conn) flushLater() {
	c.l.sys.post(func() {
		if c.state != stateClosed {
			c.flush(c.l.sys.nowMS())
		}
	})
}
