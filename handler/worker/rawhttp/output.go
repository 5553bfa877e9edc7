package rawhttp

import (
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// unsent reports that output waits for the socket.
func (c *Conn) unsent() bool { return len(c.own) > 0 || c.running && c.cfg.Out.OutHead.Load() > c.sent }

// send writes what the socket takes of the output, without blocking.
func (c *Conn) send() (moved bool) {
	for c.unsent() && !c.broken {
		var n int
		if len(c.own) > 0 {
			n = c.write(c.own)
			c.recordOutput(c.own[:n])
			c.own = c.own[n:]
		} else {
			head, start := c.cfg.Out.OutHead.Load(), uint64(c.cfg.Out.OutStart.Load())
			part, _ := shm.Ring(c.cfg.OutWindow, start+c.sent, head-c.sent)
			n = c.write(part)
			c.recordOutput(part[:n])
			c.sent += uint64(n)
			c.cfg.In.OutTail.Store(c.sent)
		}
		if n == 0 {
			break
		}
		moved = true
	}
	stuck := c.unsent()
	if stuck && (moved || !c.stuck) {
		c.look()
	}
	if stuck != c.stuck {
		c.stuck = stuck
		c.movedAt = time.Now()
	}
	return moved
}

// look notes how much is on the way to the peer. It reports whether that has become less since the last time.
func (c *Conn) look() (less bool) {
	before := c.onTheWay
	c.onTheWay = unacknowledged(c.fd)
	return c.onTheWay >= 0 && c.onTheWay < before
}

// unacknowledged is how many bytes of a socket its peer has not acknowledged; -1: unknown. A variable for tests.
var unacknowledged = func(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ) // Linux calls it SIOCOUTQ
	if err != nil {
		return -1
	}
	return n
}

// peerAdvances reports whether the peer has taken output since the last time, though the socket has no room yet: that takes a
// third of its buffer. The peer then has the same time once more.
func (c *Conn) peerAdvances() bool {
	if !c.unsent() || passed(c.respondAt) || !c.look() {
		return false
	}
	c.movedAt = time.Now()
	return true
}

// drain waits until the kernel has all output. It returns false if the peer does not take it.
func (c *Conn) drain() bool {
	c.movedAt = time.Now()
	for {
		c.send()
		if c.broken {
			return false
		}
		if !c.unsent() {
			return true
		}
		deadline := earlier(c.respondAt, c.stallAt())
		if !c.wait(pollOut, deadline) && passed(deadline) && !c.send() && !c.peerAdvances() {
			return false
		}
	}
}

// End ends an exchange. result is what a worker stores in the cell for the server. It returns false if this was the last
// exchange of the connection.
func (c *Conn) End(result uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookAtSocket()
	c.unsettle()
	c.recordEnd()
	c.retired = c.retired || result&shm.ResultRetire != 0
	keep := c.persistent && !c.body.Missing()
	switch {
	case c.broken || result&shm.ResultReset != 0:
		c.running = false
		c.how = closeReset
		c.logAccess(false)
		return false
	case c.cfg.Out.OutHead.Load() == 0 && result>>shm.ResultStatusShift == shm.ClientGone:
		c.running = false
		c.how = closeNow
		c.access.record.Status = shm.ClientGone
		c.logAccess(false)
		return false
	case c.cfg.Out.OutHead.Load() == 0:
		c.running = false
		// A client of HTTP/1.0 takes a response that does not say keep-alive for the last one.
		return c.answer(int(result>>shm.ResultStatusShift), keep && c.head.Minor > 0 && !c.ending())
	}
	sent := c.drain()
	c.running = false
	c.logAccess(sent)
	if sent && keep && result&shm.ResultClose == 0 {
		return true
	}
	if sent {
		c.how = closeLinger
	}
	return false
}

// refuse answers the request at the start of the input, which no handler gets to see, and ends the connection: what follows
// cannot be told apart from the request. It returns false.
func (c *Conn) refuse(status int, cause string) bool {
	if c.cfg.Refused != nil {
		method, path, ok := httpparse.RequestStart(c.input.Unread())
		if !ok {
			path = nil
		}
		c.cfg.Refused(status, cause, method, path)
	}
	return c.answer(status, false)
}

// Causes that package httpparse has no text for: as in the server.
const (
	causeHeadTimeout = "request head not received in time"
	causeBodyTimeout = "request body not received in time"
	causeHeadCut     = "end of input in a request head"
	causeBodyCut     = "end of input in a request body"
	causeHeadLarge   = "request head too large for a worker"
)

// answer sends a response of our own. It returns keep, or false if it could not be sent.
func (c *Conn) answer(status int, keep bool) bool {
	if status < 400 || status > 599 {
		status = 502 // a handler that has ended without a response
	}
	c.recordAnswer()
	keep = keep && !c.cfg.Limits.Fixed.Close()
	page := httpwrite.ErrorPage{Status: status, Unix: time.Now().Unix(), Close: !keep, NoBody: c.isHead,
		Codings: c.cfg.Limits.BodyCodings, Fixed: &c.cfg.Limits.Fixed}
	c.own = page.Append(c.own)
	sent := c.drain()
	c.logAccess(sent)
	if sent && !keep {
		c.how = closeLinger
	}
	return sent && keep
}
