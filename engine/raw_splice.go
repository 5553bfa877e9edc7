package engine

import (
	"os"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// Splice implements backend.Conn.
func (c *rawConn) Splice(to backend.Conn) {
	if c.state != rawOpen {
		return
	}
	o := to.(*rawConn)
	c.spliced, c.paused = o, o.state.over()
	c.Follow(to)
	c.due = c.due || c.input.Len() > 0 || c.socket.eof
	c.again()
}

// pass sends the input to the connection that gets it.
func (c *rawConn) pass() {
	c.spliced.Write(c.input.Unread())
	c.input.Discard(c.input.Len())
	if c.socket.eof {
		c.spliced.CloseWrite()
	}
}

// splice moves bytes of the socket to the other one through a pipe, as pass does by copying. false: they have to be copied.
//
// Bytes that the other socket does not take stay in the pipe. It belongs to the other connection, which sends them before
// everything else, and until then nothing more is read.
func (c *rawConn) splice() bool {
	o := c.spliced
	if c.l.sys.splice == nil || o.l.sys.splice == nil || c.input.Len() > 0 || o.Held() > 0 || !o.sends() || o.bounds.output < spliceMin {
		return false
	}
	p := c.l.raw.pipes.take()
	if p == nil {
		return false
	}
	n, errno := c.l.sys.splice(c.socket.fd, p.W, min(reactor.PipeBytes, o.bounds.output))
	c.l.traffic.read += uint64(n)
	p.n = n
	if n > 0 {
		c.bulk = n >= spliceMin
		c.moved()
		o.pipe = p
		o.emptyPipe()
		return true
	}
	c.l.raw.pipes.release(p)
	return c.splicedNothing(errno)
}

// splicedNothing is the end of a splice that has moved nothing from the socket. false: it cannot be spliced from.
func (c *rawConn) splicedNothing(errno syscall.Errno) bool {
	switch errno {
	case 0:
		if c.socket.readable = false; c.socket.cut() {
			c.fail(os.NewSyscallError("write", c.socket.failure()))
			break
		}
		c.socket.eof, c.due = true, true
	case syscall.EAGAIN: // the pipe was empty, so the socket is
		c.socket.readable = false
	case syscall.EINVAL, syscall.ENOSYS, syscall.EPERM:
		c.l.raw.pipes.none = true
		return false
	default:
		c.fail(os.NewSyscallError("splice", errno))
	}
	return true
}

// emptyPipe sends what is in the pipe, as far as the socket takes it.
func (c *rawConn) emptyPipe() {
	for c.pipe.n > 0 && c.socket.writable {
		n, errno := c.l.sys.splice(c.pipe.R, c.socket.fd, c.pipe.n)
		c.l.traffic.written += uint64(n)
		c.pipe.n -= n
		switch {
		case errno == syscall.EAGAIN:
			c.socket.writable = false
		case errno == syscall.EINVAL || errno == syscall.ENOSYS || errno == syscall.EPERM:
			c.l.raw.pipes.none = true
			c.copyPipe()
			return
		case errno != 0 || n == 0:
			c.socket.broken, c.socket.errno = true, uint16(errno)
		}
		if c.sent(n); c.socket.broken {
			return // without its pipe
		}
	}
	if c.pipe.n == 0 {
		c.dropPipe()
		c.wakeFollowers()
	}
}

// copyPipe sends what is in the pipe like other output, since the socket cannot be spliced to.
func (c *rawConn) copyPipe() {
	contents := append(c.pipeContents(), c.output.Unsent()...)
	c.output.Release(c.l.pool)
	c.output.Append(c.l.pool, contents)
	n := c.socket.write(&c.l.sys, c.output.Unsent(), nil)
	c.output.Discard(c.l.pool, n)
	c.sent(n)
	c.wakeFollowers()
}
