package worker

import (
	"time"

	"moonbridge/handler/shm"
	"moonbridge/httpwrite"
)

// unsent says that output waits for the socket.
func (c *conn) unsent() bool { return len(c.own) > 0 || c.running && c.out.OutHead.Load() > c.sent }

// send writes what the socket takes of the output, without blocking.
func (c *conn) send() (moved bool) {
	for c.unsent() && !c.broken {
		var n int
		if len(c.own) > 0 {
			n = c.write(c.own)
			c.own = c.own[n:]
		} else {
			head, start := c.out.OutHead.Load(), uint64(c.out.OutStart.Load())
			part, _ := shm.Ring(c.outWin, start+c.sent, head-c.sent)
			n = c.write(part)
			c.sent += uint64(n)
			c.in.OutTail.Store(c.sent)
		}
		if n == 0 {
			break
		}
		moved = true
	}
	if stuck := c.unsent(); stuck != c.stuck {
		c.stuck = stuck
		c.movedAt = time.Now()
	}
	return moved
}

// drain waits until all output is with the kernel. false: the peer does not take it.
func (c *conn) drain() bool {
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
		if !c.wait(pollOut, deadline) && passed(deadline) && !c.send() {
			return false
		}
	}
}

// end ends an exchange: result is what the worker stores in the cell for the server. It returns false if that was the last
// exchange of the connection.
func (c *conn) end(result uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookAtSocket()
	c.retired = c.retired || result&shm.ResultRetire != 0
	keep := c.persistent && !c.body.Missing()
	switch {
	case c.broken || result&shm.ResultReset != 0:
		c.running = false
		c.how = connReset
		return false
	case c.out.OutHead.Load() == 0:
		c.running = false
		return c.answer(int(result>>shm.ResultStatusShift), keep && !c.ending())
	}
	sent := c.drain()
	c.running = false
	if sent && keep && result&shm.ResultClose == 0 {
		return true
	}
	if sent {
		c.how = connLinger
	}
	return false
}

// refuse answers a request that no handler gets to see, and ends the connection: what follows it cannot be told apart from
// it. It returns false.
func (c *conn) refuse(status int) bool { return c.answer(status, false) }

// answer sends a response of our own. It returns keep, or false if it could not be sent.
func (c *conn) answer(status int, keep bool) bool {
	if status < 400 || status > 599 {
		status = 502 // a handler that has ended without a response
	}
	c.own = httpwrite.AppendError(c.own, time.Now().Unix(), status, 0, !keep, c.isHead)
	sent := c.drain()
	if sent && !keep {
		c.how = connLinger
	}
	return sent && keep
}
