package rawhttp

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollIn  = unix.POLLIN
	pollOut = unix.POLLOUT
)

// roomMin is the least room that a read is given after the bytes of an incomplete request. Heads and small bodies, which
// alone are collected in the input, have limits, and so has the input.
const roomMin = 4 << 10

// read reads what is there. It returns 0 if nothing is (c.eof and c.broken say why).
func (c *Conn) read(p []byte) int {
	for !c.eof && !c.broken {
		n, _, err := unix.Recvfrom(c.fd, p, unix.MSG_DONTWAIT)
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

// fill reads once into the input. It returns false if nothing came.
func (c *Conn) fill() bool {
	n := c.read(c.input.Reserve(c.cfg.Pool, roomMin))
	c.input.Commit(n)
	return n > 0
}

// write writes what the socket takes. It returns less than len(p) if that was not all.
func (c *Conn) write(p []byte) (n int) {
	for n < len(p) && !c.broken {
		k, err := unix.SendmsgN(c.fd, p[n:], nil, nil, unix.MSG_DONTWAIT)
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

// wait blocks until the socket has one of the events, or until the deadline. It releases mu while it blocks.
func (c *Conn) wait(events int16, deadline time.Time) (ready bool) {
	return c.poll(-1, events, deadline)
}

// waitIdle is wait for the first byte of a request. It also ends when the server rings.
func (c *Conn) waitIdle(deadline time.Time) {
	// The sleep protocol: announce the sleep, check once more, block.
	c.cfg.Asleep.Store(1)
	defer c.cfg.Asleep.Store(0)
	if !c.ending() {
		c.poll(c.cfg.Bell, pollIn, deadline)
	}
}

func (c *Conn) poll(bell int, events int16, deadline time.Time) (ready bool) {
	fds := [2]unix.PollFd{{Fd: int32(c.fd), Events: events | c.peerEvents()}, {Fd: int32(bell), Events: unix.POLLIN}}
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
	}
	if fds[0].Revents&pollPeerEnd != 0 {
		c.lookAtPeer()
	}
	if err == nil && fds[1].Revents != 0 {
		// One read takes all rings back. It does not block, because nothing else reads them.
		var rings [512]byte
		unix.Read(bell, rings[:])
	}
	return n > 0
}

// pollMS is the time until a deadline as poll wants it: rounded up, so that no timeout ends early; -1: no deadline.
func pollMS(deadline time.Time) int {
	const most = time.Hour // the caller looks at the clock, and waits again
	if deadline.IsZero() {
		return -1
	}
	d := min(max(time.Until(deadline), 0), most)
	return int((d + time.Millisecond - 1) / time.Millisecond)
}

// Close ends the connection. failed: with a reset, whatever has happened. It returns true if the peer is to see a reset, which
// comes with the last descriptor of the socket. That one is not ours.
func (c *Conn) Close(failed bool) (reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed {
		c.how = closeReset
	}
	if c.how == closeLinger && !c.broken && c.fd >= 0 {
		c.linger()
	}
	c.shut()
	c.logAccess(false) // of a request whose peer has gone before it was complete
	c.input.Release(c.cfg.Pool)
	return c.how == closeReset
}

// shut closes the descriptor.
func (c *Conn) shut() {
	if c.fd >= 0 {
		close(c.over)
		unix.Close(c.fd)
		c.fd = -1
		c.settled = false
		c.cfg.Settled.Store(0) // from now on it is for others to say
	}
}

// linger closes our side of the connection and waits for a short time until the peer has closed its own. A close with unread
// bytes would make the kernel send a RST, which may destroy the response on its way (RFC 9112 §9.6).
func (c *Conn) linger() {
	if c.eof || c.cfg.Limits.Drain == 0 {
		return
	}
	c.settle(true)
	for deadline := after(c.cfg.Limits.Drain); !passed(deadline); c.wait(pollIn, deadline) {
		c.throwAway()
		if c.thrown > lingerBytesMax {
			c.how = closeReset
			return
		}
		if c.eof || c.broken {
			return
		}
	}
}
