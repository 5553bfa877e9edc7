package engine

import (
	"os"

	"moonbridge/handler/backend"
)

// Write implements backend.Conn.
func (c *rawConn) Write(p []byte) { c.Writev(p, nil) }

// Writev implements backend.Conn.
func (c *rawConn) Writev(a, b []byte) {
	if !c.sends() || len(a)+len(b) == 0 {
		return
	}
	n := 0
	if c.Held() == 0 && c.socket.writable {
		n = c.socket.write(&c.l.sys, a, b)
		if c.sent(n); c.socket.broken {
			return
		}
	}
	if n < len(a)+len(b) {
		c.hold(from(a, b, n))
	}
}

// hold keeps bytes that the socket does not take.
func (c *rawConn) hold(a, b []byte) {
	c.output.Append(c.l.pool, a)
	c.output.Append(c.l.pool, b)
	if c.Held() > c.bounds.output {
		c.full = true
	}
	if m := c.l.multiplexed; m != nil {
		m.held(c.socket.fd)
	}
}

// sends reports whether the Stream may write.
func (c *rawConn) sends() bool { return c.state == rawOpen && !c.ending && !c.gone && !c.socket.broken }

// sent: n bytes were sent, or the socket is broken. What a broken connection has received is still read: the peer may have said
// why it does not take more.
func (c *rawConn) sent(n int) {
	if !c.socket.broken {
		if n > 0 {
			c.written += int64(n)
			c.moved()
		}
		return
	}
	if c.err == nil {
		c.err = os.NewSyscallError("write", c.socket.failure())
	}
	c.dropPipe()
	c.output.Release(c.l.pool)
	c.unfill()
	c.socket.readable = true
	c.moved()
	c.again()
}

// Held implements backend.Conn.
func (c *rawConn) Held() int {
	if c.pipe != nil {
		return c.pipe.n + c.output.Len()
	}
	return c.output.Len()
}

// Full implements backend.Conn.
func (c *rawConn) Full() bool { return c.full || !c.sends() }

// flush sends what is held, after the socket has become writable.
func (c *rawConn) flush() {
	if c.pipe != nil {
		c.emptyPipe()
	}
	if c.pipe == nil && c.output.Len() > 0 {
		n := c.socket.write(&c.l.sys, c.output.Unsent(), nil)
		c.output.Discard(c.l.pool, n)
		c.sent(n)
	}
	if c.full && c.Held() <= c.bounds.output/2 {
		c.unfill()
		if c.sends() {
			c.stream.Room(c)
		}
	}
}

// unfill lets those go on that wait for room here.
func (c *rawConn) unfill() {
	c.full = false
	c.wakeFollowers()
}

// wakeFollowers lets those go on that wait for this connection.
func (c *rawConn) wakeFollowers() {
	for f := c.followers; f != nil; f = f.nextFollower {
		f.due = f.due || f.input.Len() > 0
		f.again()
	}
}

// Follow implements backend.Conn.
func (c *rawConn) Follow(to backend.Conn) {
	if c.state.over() {
		return
	}
	c.unfollow()
	if to == nil {
		return
	}
	o := to.(*rawConn) // of the same loop: there are no others that a Stream may call
	if !o.state.over() {
		c.follows = o
		c.nextFollower, o.followers = o.followers, c
	}
}

// unfollow ends Follow.
func (c *rawConn) unfollow() {
	if c.follows == nil {
		return
	}
	for at := &c.follows.followers; *at != nil; at = &(*at).nextFollower {
		if *at == c {
			*at = c.nextFollower
			break
		}
	}
	c.follows, c.nextFollower = nil, nil
	c.again()
}
