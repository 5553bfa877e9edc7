package rawhttp

import (
	"bytes"
	"slices"
	"time"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Next waits for a request and puts it into the cell. It returns false if the connection has ended and only Close remains to
// be called. Requests that no handler gets to see are answered here.
func (c *Conn) Next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isHead = false
	c.respondAt = after(0)
	deadline := after(c.cfg.Limits.Idle)
	for begun, last := false, false; !c.broken; {
		if c.input.Len() > 0 {
			if !begun && len(bytes.TrimLeft(c.input.Unread(), "\r\n")) > 0 { // empty lines are no part of a request (RFC 9112 §2.2)
				begun = true
				c.unsettle()
				deadline = after(c.cfg.Limits.Header)
			}
			n, err := c.parser.Parse(&c.head, c.input.Unread(), &c.cfg.Limits.Head)
			if err != nil {
				return c.refuse(httpparse.StatusOf(err), err.Error())
			}
			if n > 0 {
				return c.begin(n)
			}
		}
		switch {
		case c.fill() || c.broken:
		case c.eof && !begun:
			c.how = closeNow
			return false
		case c.eof:
			// RFC 9112 §8: an incomplete message. A peer that has only shut down its sending side is told why.
			return c.refuse(400, causeHeadCut)
		case begun:
			if c.lapsed(deadline, false) {
				return c.refuse(408, causeHeadTimeout)
			}
		default:
			if c.number > 0 && !c.settled {
				c.settle(false) // it may still be receiving the last response
			}
			if !last && c.ending() {
				last = true
				deadline = earlier(deadline, after(lastRequest))
			}
			if c.lapsed(deadline, !last) {
				c.how = closeLinger
				return false
			}
		}
	}
	return false
}

// lastRequest is how long a connection that is about to end waits for a last request, whose response says that it is the last.
// The peer believes that the connection persists: closing it at once would hit a request that is on its way.
const lastRequest = time.Second

// lapsed waits for input. It returns true if the deadline has passed without any. Input that came at the deadline, or while
// this process did not get the CPU, still counts. idle: the server may ring in the meantime.
func (c *Conn) lapsed(deadline time.Time, idle bool) bool {
	if idle {
		c.waitIdle(deadline)
	} else {
		c.wait(pollIn, deadline)
	}
	return passed(deadline) && !c.fill() && !c.eof && !c.broken
}

// identify finds out who the client is. If that is the peer, it has asked for https if the connection has TLS.
func (c *Conn) identify() {
	c.head.Secure = false
	if c.cfg.Identify != nil {
		c.cfg.Identify(&c.head, c.cfg.Block.Remote.AddrPort().Addr())
	}
	if len(c.cfg.Block.TLS) > 0 && !c.head.Client.IsValid() {
		c.head.Secure = true
	}
}

// begin decides what to do with the request whose head takes the first n bytes of the input.
func (c *Conn) begin(n int) bool {
	h := &c.head
	c.respondAt = after(c.cfg.Limits.Response)
	c.isHead = h.IsHead
	c.persistent = h.Persistent && !c.ending()
	c.parser.Reset()
	c.identify()
	c.recordHead()
	expects := c.ownsExpect(h)
	await, err := c.body.Begin(h, c.input.Len()-n, &c.bodyLimits)
	if err != nil {
		return c.refuse(httpparse.StatusOf(err), err.Error())
	}
	if expects && c.body.Missing() && c.input.Len() == n {
		c.own = append(c.own, httpwrite.Continue...)
		c.send()
	}
	if await > 0 {
		if !c.await(n + await) {
			return false
		}
		// The input has moved: what was parsed is parsed again.
		if m, err := c.parser.Parse(h, c.input.Unread(), &c.cfg.Limits.Head); m != n || err != nil {
			return c.refuse(400, "request changed while its body was awaited")
		}
		c.identify()
		c.recordHead()
		c.ownsExpect(h)
		c.body.Begin(h, c.input.Len()-n, &c.bodyLimits)
	}
	return c.dispatch(n)
}

// ownsExpect reports whether Expect: 100-continue is answered here rather than by the handler, and then removes it from h.
func (c *Conn) ownsExpect(h *httpparse.Head) bool {
	if c.cfg.Limits.StreamBody || !h.ExpectContinue {
		return false
	}
	h.ExpectContinue = false
	return true
}

// await waits until the input has n bytes. It returns false if they do not come.
func (c *Conn) await(n int) bool {
	for c.input.Len() < n {
		switch {
		case c.fill():
		case c.broken:
			return false
		case c.eof:
			return c.refuse(400, causeBodyCut)
		default:
			if c.lapsed(earlier(c.respondAt, c.stallAt()), false) {
				return c.refuse(408, causeBodyTimeout)
			}
		}
	}
	return true
}

// dispatch puts the request into the cell: the head block, then as much of the body as is there.
func (c *Conn) dispatch(n int) bool {
	if !c.makeBlock() {
		return c.refuse(431, causeHeadLarge)
	}
	c.input.Discard(n)
	c.spill = c.block
	c.number++
	c.inHead, c.sent, c.flags = 0, 0, 0
	c.peer = peer{}
	c.cfg.Out.InTail.Store(0)
	c.cfg.Out.OutHead.Store(0)
	c.cfg.Out.OutStart.Store(0)
	c.cfg.Out.Result.Store(0)
	c.cfg.Out.Flags.Store(0)
	c.cfg.In.OutTail.Store(0)
	c.cfg.In.Flags.Store(0)
	c.cfg.In.InHead.Store(0)
	c.cfg.In.Gen.Store(c.number)
	c.running = true
	c.lookAtPeer()
	c.pump()
	c.wake()
	c.recordStart()
	return true
}

// blockKept: a larger head block is not kept for the next request.
const blockKept = 256 << 10

// makeBlock builds the head block. It returns false if that is too large.
func (c *Conn) makeBlock() bool {
	c.head.Persistent = c.persistent
	b := c.cfg.Block
	b.Request, b.Expect = &c.head, c.body.Expecting()
	size := b.Size()
	if size > c.cfg.Limits.HeadBlockBytes {
		return false
	}
	if cap(c.block) > blockKept {
		c.block = nil
	}
	c.block = slices.Grow(c.block[:0], size)[:size]
	b.Put(c.block)
	return true
}
