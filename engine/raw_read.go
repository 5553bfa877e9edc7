package engine

import "os"

// advance takes a raw connection as far as it can go now: it reads, tells the Stream, and does what the Stream has asked for. It
// is called by the loop, never within a call of the Stream, when busy is set.
func (c *rawConn) advance() {
	if c.state == rawOpen {
		c.receive()
	}
	if c.state == rawClosing || c.state == rawLingering { // perhaps since the last call of the Stream
		c.throwAway()
	}
	if c.state == rawDetached {
		c.input.Release(c.l.pool)
	} else {
		c.input.Settle(c.l.pool)
		c.conclude()
	}
	c.busy = false
}

// listens reports whether the Stream wants to hear of input.
func (c *rawConn) listens() bool {
	return c.state == rawOpen && !c.paused && !c.gone && c.stream != nil && (c.follows == nil || !c.follows.full) &&
		(c.spliced == nil || c.spliced.pipe == nil)
}

// receive reads, and tells the Stream, until there is nothing more to read or the Stream does not want more.
func (c *rawConn) receive() {
	for reads := 0; c.listens(); {
		if c.due {
			c.due = false
			c.tell()
			continue
		}
		if !c.mayRead() {
			return
		}
		if reads == readsPerTurn {
			c.queue()
			return
		}
		if c.withheld {
			if c.queued {
				return // it has moved what it may before the others get their turn
			}
			c.withheld = false
			c.stream.Data(c)
			if c.withheld {
				return // it waits for the peer of the exchange, or for the next edge
			}
			continue
		}
		reads++
		if c.spliced == nil || !c.bulk || !c.splice() {
			c.fill()
		}
	}
}

// tell passes on what is new in the input: bytes, or their end.
func (c *rawConn) tell() {
	if c.spliced != nil {
		c.pass()
	} else {
		c.stream.Data(c)
	}
}

// mayRead reports whether a read makes sense: there may be something, and there is room for it.
func (c *rawConn) mayRead() bool {
	return c.socket.readable && !c.socket.eof && !c.InputFull()
}

// fill reads once into the input.
func (c *rawConn) fill() {
	room := c.bounds.input - c.input.Len()
	p := c.input.Reserve(c.l.pool, min(room, roomMin))
	if c.readMost > 0 {
		room = min(room, int(c.readMost))
	}
	p = p[:min(len(p), room)]
	n, result := c.socket.read(&c.l.sys, p)
	switch result {
	case readBytes:
		c.input.Commit(n)
		c.due, c.readMost = true, 0
		c.bulk = n >= min(spliceMin, len(p))
		c.moved()
	case readEnd:
		c.due = true
	case readFailed:
		c.fail(os.NewSyscallError("read", c.socket.failure()))
	}
}

// throwAway reads what the peer of a closed connection still sends.
func (c *rawConn) throwAway() {
	c.input.Release(c.l.pool)
	if c.tarpitted() {
		return
	}
	for reads := 0; c.socket.readable && !c.socket.eof && !c.gone; reads++ {
		if reads == readsPerTurn {
			c.queue()
			return
		}
		// The room is never committed, so the bytes are gone.
		n, result := c.socket.read(&c.l.sys, c.input.Reserve(c.l.pool, roomMin))
		switch result {
		case readBytes:
			c.tooMuch(n)
		case readFailed:
			c.fail(os.NewSyscallError("read", c.socket.failure()))
		}
	}
}

// tooMuch counts bytes that were thrown away. A peer that goes on sending is reset.
func (c *rawConn) tooMuch(n int) {
	c.drained += int32(n)
	if c.drained > drainBytesMax {
		c.l.sys.resetOnClose(c.socket.fd)
		c.fail(errReset) // no error if all was sent
	}
}

// Unread implements backend.Conn.
func (c *rawConn) Unread() []byte { return c.input.Unread() }

// InputFull implements backend.Bounded.
func (c *rawConn) InputFull() bool { return c.input.Len() >= c.bounds.input }

// Discard implements backend.Conn.
func (c *rawConn) Discard(n int) {
	if c.state != rawOpen {
		n = min(n, c.input.Len()) // what a program had unread has gone with the connection
	}
	c.input.Discard(n)
	if c.busy {
		return
	}
	if c.input.Len() == 0 {
		c.input.Release(c.l.pool)
	}
	c.again() // there may be room again, or nothing left after the end
}

// Ended implements backend.Conn.
func (c *rawConn) Ended() bool { return c.socket.eof }

// Quiet implements backend.Quiet.
func (c *rawConn) Quiet() bool {
	s := &c.socket
	return c.state == rawOpen && !c.gone && c.input.Len() == 0 && !s.readable && !s.ended() && !s.broken && !c.l.untold(s.fd) && !c.l.sys.pending(s.fd)
}

// Pause implements backend.Conn.
func (c *rawConn) Pause() { c.paused = true }

// Resume implements backend.Conn.
func (c *rawConn) Resume() {
	if c.paused {
		c.paused = false
		c.due = c.due || c.input.Len() > 0
		c.again()
	}
}
