package engine

import (
	"os"
	"syscall"

	"moonbridge/handler/backend"
)

// errReset is the error of a connection whose peer is gone, if no system call has said so.
var errReset error = os.NewSyscallError("read", syscall.ECONNRESET)

// CloseWrite implements backend.Conn.
func (c *rawConn) CloseWrite() {
	if c.state == rawOpen && !c.ending {
		c.ending = true
		c.again()
	}
}

// Close implements backend.Conn.
func (c *rawConn) Close() {
	if c.state != rawOpen {
		return
	}
	c.state = rawClosing
	c.unfollow()
	c.setTimeout(c.bounds.closingMS())
	c.again()
}

// Reset implements backend.Conn.
func (c *rawConn) Reset() {
	if c.state.over() {
		return
	}
	c.l.sys.resetOnClose(c.socket.fd)
	c.err = nil
	c.gone = true
	c.again()
}

// fail: the connection is gone, without our doing.
func (c *rawConn) fail(err error) {
	if c.err == nil && (c.state != rawLingering) {
		c.err = err
	}
	c.gone = true
}

// abort ends the connection with err. The peer must not take what it has for all if more is held.
func (c *rawConn) abort(err error) {
	if c.Held() > 0 {
		c.l.sys.resetOnClose(c.socket.fd)
	}
	c.fail(err)
}

// conclude does what the Stream has asked for, as far as the output is sent, and ends a connection that is over.
func (c *rawConn) conclude() {
	if c.Held() == 0 && !c.gone {
		c.allSent()
	}
	if c.gone || c.dead() {
		c.end()
	}
}

// allSent: nothing is held, so a FIN may be sent.
func (c *rawConn) allSent() {
	switch {
	case c.state == rawClosing && c.tarpitted():
		c.linger()
	case c.state == rawLingering && c.tarpitted():
		c.gone = c.socket.peerClosed
	case (c.state == rawClosing || c.ending) && !c.farewell():
		c.output.Append(c.l.pool, []byte{0}) // it waits like a byte of output: see tlsLoop.write
		c.socket.writable = false            // though the last write was not short
	case c.state == rawClosing:
		c.linger()
	case c.state == rawLingering:
		c.gone = c.socket.eof
	case c.ending:
		c.sendFIN()
		c.gone = c.passedAll()
	case c.hung:
		c.gone = c.passedAll()
	}
}

// passedAll reports whether the peer has ended, and everything that it had sent was taken.
func (c *rawConn) passedAll() bool { return c.socket.eof && !c.due && c.input.Len() == 0 }

// farewell tells the peer in TLS that nothing more will be sent. false: that has to wait.
func (c *rawConn) farewell() bool {
	say := c.l.sys.farewell
	return say == nil || c.finSent || say(c.socket.fd, false)
}

func (c *rawConn) sendFIN() {
	if !c.finSent {
		c.finSent = true
		c.l.sys.shutdownWrite(c.socket.fd)
	}
}

// linger is conn.linger: a close with bytes unread would make the kernel send a RST, which may destroy what is on its way.
func (c *rawConn) linger() {
	switch {
	case c.socket.eof || c.socket.broken || c.bounds.lingerMS == 0 || c.tarpitted() && (c.socket.peerClosed || c.l.e.stopping.Load()):
		c.gone = true
		return
	case c.tarpitted():
		c.setTimeout(c.tarpitMS)
	default:
		c.sendFIN()
		c.setTimeout(c.bounds.lingerMS)
	}
	c.state = rawLingering
}

// tarpitted reports whether a connection that was closed is left as it is for tarpitMS, when its output is sent, and then reset: without an end
// that the peer could see, and unread. A peer that floods, and waits for the end of its connection to begin anew, does nothing in this time,
// and what it sends stays in the kernel and costs nothing.
func (c *rawConn) tarpitted() bool { return c.tarpitMS != 0 }

// dead reports whether the socket is broken and the Stream has been told of everything that it had received.
func (c *rawConn) dead() bool {
	return c.socket.broken && (c.state != rawOpen || c.listens() && !c.due && (c.socket.eof || !c.socket.readable))
}

// end is where every raw connection ends that is not detached. The descriptor is closed at the end of the turn.
func (c *rawConn) end() {
	c.state = rawClosed
	c.dropPipe()
	c.output.Release(c.l.pool)
	c.leave()
	if c.stream != nil {
		c.stream.Closed(c, c.err)
	}
	c.input.Release(c.l.pool)
	c.l.sys.close(c.socket.fd)
	c.socket.fd = -1
}

// leave undoes newRaw and Follow, except for the descriptor and the input.
func (c *rawConn) leave() {
	c.l.sys.cancelTimer(&c.deadline.timer)
	c.unfollow()
	for f := c.followers; f != nil; f = c.followers {
		f.unfollow()
		f.paused = f.paused || f.spliced == c
	}
	c.expend(false)
	c.l.raw.conns.Remove(c)
	c.counter.Add(-1)
}

// drain tells the Stream, once, that the engine, or the listener, comes to its end. Dialed connections are none of theirs. The tarpit ends.
func (c *rawConn) drain() {
	if c.tarpitted() && c.state == rawLingering {
		c.gone = true
		c.again()
		return
	}
	if c.told || c.addrs == nil {
		return
	}
	if d, ok := c.stream.(backend.Drainer); ok && c.state == rawOpen && !c.gone {
		c.told = true
		d.Drain(c)
	}
}
