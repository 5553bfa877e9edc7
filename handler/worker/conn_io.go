package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollIn  = unix.POLLIN
	pollOut = unix.POLLOUT
)

// connInput is what was read and is not consumed yet.
type connInput struct {
	buf  []byte
	r, w int
}

const (
	inputRoom = 16 << 10  // for one read
	inputKept = 256 << 10 // a larger buffer is given up when it is empty
)

func (in *connInput) len() int       { return in.w - in.r }
func (in *connInput) unread() []byte { return in.buf[in.r:in.w] }

func (in *connInput) discard(n int) {
	in.r += n
	if in.r == in.w {
		in.r, in.w = 0, 0
		if len(in.buf) > inputKept {
			in.buf = nil
		}
	}
}

// reserve returns room for a read. Views of what is unread become invalid. Heads and small bodies, which alone are collected
// here, have limits, and so has the buffer.
func (in *connInput) reserve() []byte {
	if len(in.buf)-in.w < inputRoom/4 {
		b := in.buf
		if unread := in.len(); in.r == 0 || unread > len(b)/2 || len(b) < inputRoom {
			b = make([]byte, max(2*len(b), inputRoom))
		}
		in.w = copy(b, in.unread())
		in.r, in.buf = 0, b
	}
	return in.buf[in.w:]
}

func (in *connInput) add(p []byte) {
	for len(p) > 0 {
		n := copy(in.reserve(), p)
		in.w += n
		p = p[n:]
	}
}

// read reads what is there. It returns 0 if nothing is (c.eof and c.broken say why).
func (c *conn) read(p []byte) int {
	for !c.eof && !c.broken {
		n, err := unix.Read(c.fd, p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0
		case err != nil:
			c.broken = true
			return 0
		case n == 0:
			c.eof = true
		default:
			c.movedAt = time.Now()
		}
		return n
	}
	return 0
}

// fill reads once into the input. false: nothing came.
func (c *conn) fill() bool {
	n := c.read(c.input.reserve())
	c.input.w += n
	return n > 0
}

// write writes what the socket takes. It returns less than len(p) if that was not all.
func (c *conn) write(p []byte) (n int) {
	for n < len(p) && !c.broken {
		k, err := unix.Write(c.fd, p[n:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return n
		case err != nil:
			c.broken = true
		default:
			n += k
			c.movedAt = time.Now()
		}
	}
	return n
}

// wait blocks until one of the events has come on the socket, or the deadline. It gives up mu meanwhile.
func (c *conn) wait(events int16, deadline time.Time) (ready bool) {
	return c.poll(c.fd, -1, events, deadline)
}

// waitIdle is wait for the first byte of a request. It also ends when the server has rung.
func (c *conn) waitIdle(deadline time.Time) {
	// The sleep protocol: say that we are about to block, look once more, block.
	c.asleep.Store(1)
	defer c.asleep.Store(0)
	if !c.ending() {
		c.poll(c.fd, c.bell, pollIn, deadline)
	}
}

func (c *conn) poll(fd, bell int, events int16, deadline time.Time) (ready bool) {
	fds := [2]unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(bell), Events: unix.POLLIN}}
	c.waiting = events
	c.mu.Unlock()
	n, err := 0, error(nil)
	for {
		n, err = unix.Poll(fds[:], pollMS(deadline))
		if err != unix.EINTR {
			break
		}
	}
	c.mu.Lock()
	c.waiting = 0
	if err != nil {
		c.broken = true
	} else if fds[1].Revents != 0 {
		// One read takes all rings back. It does not block: nobody else reads them.
		var rings [512]byte
		unix.Read(bell, rings[:])
	}
	return n > 0
}

// pollMS is the time until a deadline for poll: rounded up, so that no timeout ends early; -1: for ever.
func pollMS(deadline time.Time) int {
	const most = time.Hour // whoever waits looks at the clock, and waits on
	if deadline.IsZero() {
		return -1
	}
	d := min(max(time.Until(deadline), 0), most)
	return int((d + time.Millisecond - 1) / time.Millisecond)
}

// close ends the connection, as c.how says. It returns true if the peer is to see a reset: that comes with the last
// descriptor of the socket, which is not ours.
func (c *conn) close(failed bool) (reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed {
		c.how = connReset
	}
	if c.how == connLinger && !c.broken && c.fd >= 0 {
		c.linger()
	}
	c.shut()
	return c.how == connReset
}

// shut gives up the descriptor.
func (c *conn) shut() {
	if c.fd >= 0 {
		close(c.over)
		unix.Close(c.fd)
		c.fd = -1
	}
}

// linger closes our side of the connection and waits, for a short time, until the peer has closed its own: a close with
// bytes unread would make the kernel send a RST, which may destroy the response on its way (RFC 9112 §9.6).
func (c *conn) linger() {
	if c.eof || c.lim.drain == 0 {
		return
	}
	unix.Shutdown(c.fd, unix.SHUT_WR)
	deadline := after(c.lim.drain)
	c.input.discard(c.input.len())
	for got := 0; !passed(deadline); {
		n := c.read(c.input.reserve()) // never committed: thrown away
		if got += n; got > lingerBytesMax {
			c.how = connReset
			return
		}
		if c.eof || c.broken {
			return
		}
		if n == 0 {
			c.wait(pollIn, deadline)
		}
	}
}
