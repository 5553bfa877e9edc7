package engine

import (
	"syscall"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
	"moonbridge/reactor"
)

// Output takes response bytes of the backend: straight to the socket from where they are, and what the socket does not
// take into the output, up to its bound. The last part of a response is taken whole (it is at most a window), so that a
// slow reader holds a little memory and no worker.
func (c *conn) Output(a, b []byte, last bool) int {
	total := len(a) + len(b)
	c.begun = true
	if c.broken {
		return total
	}
	taken := c.take(a, b, last)
	if c.access != nil && !c.broken {
		c.access.response.write(a[:min(taken, len(a))])
		c.access.response.write(b[:max(0, taken-len(a))])
	}
	return taken
}

// take sends what of a and b the socket takes, and keeps of the rest what the output may hold.
func (c *conn) take(a, b []byte, last bool) int {
	total := len(a) + len(b)
	stalled := c.out.Len() > 0
	sent := c.write(a, b)
	if sent == total || c.broken {
		c.updateDeadline()
		return total
	}
	room := total
	if !last {
		room = max(0, c.s.limits.outputBytes-c.out.Len())
	}
	taken := sent
	for _, part := range [2][]byte{a[min(sent, len(a)):], b[max(0, sent-len(a)):]} {
		part = part[:min(len(part), room)]
		c.out.Append(c.l.pool, part)
		room -= len(part)
		taken += len(part)
	}
	c.wantsRoom = taken < total
	if !stalled {
		// Else the peer has taken nothing, however often a handler adds to what waits.
		c.updateDeadline()
	}
	return taken
}

// write sends a, then b, as far as the socket takes them now. Only if nothing waits in the output: order.
func (c *conn) write(a, b []byte) int {
	if !c.writable || c.out.Len() > 0 {
		return 0
	}
	var n int
	var errno syscall.Errno
	if len(b) == 0 {
		n, errno = reactor.Write(c.fd, a)
	} else {
		n, errno = reactor.Writev(c.fd, a, b)
	}
	if errno == syscall.EAGAIN {
		n, errno = 0, 0
	}
	if errno != 0 {
		// The backend is in the middle of its work: it hears of it in the next turn.
		c.broken = true
		c.again()
		return 0
	}
	if n < len(a)+len(b) {
		c.writable = false
	}
	return n
}

// send puts bytes of the engine's own on the way.
func (c *conn) send(p []byte) {
	n := c.write(p, nil)
	if !c.broken {
		c.out.Append(c.l.pool, p[n:])
	}
}

// flush sends what waits in the output, after the socket has become writable.
func (c *conn) flush() {
	for c.out.Len() > 0 && c.writable {
		p := c.out.Unsent()
		n, errno := reactor.Write(c.fd, p)
		if errno == syscall.EAGAIN {
			n, errno = 0, 0
		}
		if errno != 0 {
			c.close()
			return
		}
		if n < len(p) {
			c.writable = false
		}
		c.out.Discard(c.l.pool, n)
	}
	c.updateDeadline()
	if c.wantsRoom && c.out.Len() <= c.s.limits.outputBytes/2 {
		c.wantsRoom = false
		c.running.OutputRoom()
	}
	if c.state == stateWriting && c.out.Len() == 0 {
		c.finish()
	}
}

// Done is called by the backend when the exchange is over and its output was taken.
func (c *conn) Done(end backend.End) {
	if c.state != stateDispatched {
		return
	}
	if c.access != nil {
		c.noteTimes()
	}
	c.running = nil
	c.wantsRoom = false
	if end == backend.EndKeep && (!c.persistent || c.body.Missing()) {
		end = backend.EndClose
	}
	c.conclude(end)
}

// Failed is called by the backend when there is no response, or no more of it.
func (c *conn) Failed(status int, retryAfter time.Duration) {
	if c.state != stateDispatched {
		return
	}
	if c.access != nil {
		c.noteTimes()
	}
	c.running = nil
	c.wantsRoom = false
	if c.begun {
		c.conclude(backend.EndReset)
		return
	}
	seconds := int((retryAfter + time.Second - 1) / time.Second)
	c.answer(status, seconds, c.persistent && !c.body.Missing())
}

// refuse answers a request that never reaches a handler, and closes: what follows it cannot be told apart from it.
func (c *conn) refuse(status int) { c.answer(status, 0, false) }

// answer sends a response of the engine's own.
func (c *conn) answer(status, retryAfter int, keep bool) {
	keep = keep && !c.ending()
	c.l.errorPage = httpwrite.AppendError(c.l.errorPage[:0], c.l.unixNow(), status, retryAfter, !keep, c.isHead)
	c.begun = true
	c.send(c.l.errorPage)
	if c.l.e.accessLog != nil {
		c.observeAnswer()
	}
	if keep {
		c.conclude(backend.EndKeep)
	} else {
		c.conclude(backend.EndClose)
	}
}

// conclude ends the exchange as soon as its output is sent.
func (c *conn) conclude(end backend.End) {
	if c.broken || end == backend.EndReset {
		c.reset()
		return
	}
	c.end = end
	c.state = stateWriting
	if c.out.Len() > 0 {
		c.updateDeadline()
		return
	}
	c.finish()
}

// finish: the response is out. The connection goes on with the next request, or closes.
func (c *conn) finish() {
	c.isHead, c.begun, c.respondMS = false, false, 0
	if c.access != nil {
		c.logAccess(true)
	}
	switch {
	case c.end != backend.EndKeep:
		c.linger()
	case c.in.Len() > 0 || c.readable:
		// The next request is here, or may be. It is taken up in the next turn: not from within the backend's work.
		c.awaitNext()
		c.again()
	default:
		c.awaitNext()
	}
}

// awaitNext: the peer knows the connection as persistent.
func (c *conn) awaitNext() {
	if c.ending() {
		c.awaitLast()
		return
	}
	c.state = stateIdle
	c.setDeadline(c.s.limits.idleMS)
}
