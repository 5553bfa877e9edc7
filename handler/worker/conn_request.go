package worker

import (
	"slices"
	"time"

	"moonbridge/httpparse"
)

// next waits for a request and puts it into the cell. false: the connection has ended, but for close. Requests that no
// handler gets to see are answered here.
func (c *conn) next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isHead = false
	c.respondAt = after(0)
	deadline := after(c.lim.idle)
	for begun, last := false, false; !c.broken; {
		if c.input.len() > 0 {
			if !begun {
				begun = true
				deadline = after(c.lim.header)
			}
			n, err := c.parser.Parse(&c.head, c.input.unread(), &c.lim.head)
			if err != nil {
				return c.refuse(httpparse.StatusOf(err))
			}
			if n > 0 {
				return c.begin(n)
			}
		}
		switch {
		case c.fill() || c.broken:
		case c.eof && !begun:
			c.how = connClose
			return false
		case c.eof:
			// RFC 9112 §8: an incomplete message. A peer that has only shut down its sending side learns why.
			return c.refuse(400)
		case begun:
			if c.lapsed(deadline, false) {
				return c.refuse(408)
			}
		default:
			if !last && c.ending() {
				last = true
				deadline = earlier(deadline, after(lastRequest))
			}
			if c.lapsed(deadline, !last) {
				c.how = connLinger
				return false
			}
		}
	}
	return false
}

// lastRequest is how long a connection that is to end waits for a last request, which is told that it is. The peer knows the
// connection as persistent: closing it at once would hit a request that is on its way.
const lastRequest = time.Second

// lapsed waits for input. It returns true if the deadline has passed without any: what came with it, or while this process
// did not get the CPU, still counts. idle: the server may ring meanwhile.
func (c *conn) lapsed(deadline time.Time, idle bool) bool {
	if idle {
		c.waitIdle(deadline)
	} else {
		c.wait(pollIn, deadline)
	}
	return passed(deadline) && !c.fill() && !c.eof && !c.broken
}

// begin decides what becomes of the request whose head takes the first n bytes of the input.
func (c *conn) begin(n int) bool {
	h := &c.head
	c.respondAt = after(c.lim.response)
	c.isHead = h.IsHead
	c.persistent = h.Persistent && !c.ending()
	c.parser.Reset()
	await, err := c.body.Begin(h, c.input.len()-n, &c.lim.body)
	if err != nil {
		return c.refuse(httpparse.StatusOf(err))
	}
	if await > 0 {
		if !c.await(n + await) {
			return false
		}
		// The input has moved: what was parsed is parsed again.
		if m, err := c.parser.Parse(h, c.input.unread(), &c.lim.head); m != n || err != nil {
			return c.refuse(400)
		}
		c.body.Begin(h, c.input.len()-n, &c.lim.body)
	}
	return c.dispatch(n)
}

// await waits until the input has n bytes. false: they do not come.
func (c *conn) await(n int) bool {
	for c.input.len() < n {
		switch {
		case c.fill():
		case c.broken:
			return false
		case c.eof:
			return c.refuse(400)
		default:
			if c.lapsed(earlier(c.respondAt, c.stallAt()), false) {
				return c.refuse(408)
			}
		}
	}
	return true
}

// dispatch puts the request into the cell: the head block, then what is there of the body.
func (c *conn) dispatch(n int) bool {
	if !c.makeBlock() {
		return c.refuse(431)
	}
	c.input.discard(n)
	c.spill = c.block
	c.number++
	c.inHead, c.sent, c.flags, c.own = 0, 0, 0, nil
	c.out.InTail.Store(0)
	c.out.OutHead.Store(0)
	c.out.OutStart.Store(0)
	c.out.Result.Store(0)
	c.out.Flags.Store(0)
	c.in.OutTail.Store(0)
	c.in.Flags.Store(0)
	c.in.InHead.Store(0)
	c.in.Gen.Store(c.number)
	c.running = true
	c.pump()
	c.wake()
	return true
}

// makeBlock builds the head block. false: it is too large.
func (c *conn) makeBlock() bool {
	c.head.Persistent = c.persistent
	b := c.common
	b.Request, b.Expect = &c.head, c.body.Expecting()
	size := b.Size()
	if size > c.lim.headBlock {
		return false
	}
	if cap(c.block) > inputKept {
		c.block = nil
	}
	c.block = slices.Grow(c.block[:0], size)[:size]
	b.Put(c.block)
	return true
}
