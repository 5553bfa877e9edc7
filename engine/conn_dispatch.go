package engine

import (
	"errors"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// parse looks for a complete request in the input. It returns true if the state has changed and the connection can go
// on, false if more bytes are needed.
func (c *conn) parse() bool {
	if c.state == stateBody && c.in.Len() < c.need {
		return false
	}
	c.current()
	if c.state == stateIdle {
		c.state = stateHead
		c.setDeadline(c.s.limits.headMS)
	}
	h := &c.l.head
	n, err := c.parser.Parse(h, c.in.Unread(), &c.s.limits.head)
	if err != nil {
		c.refuse(httpparse.StatusOf(err))
		return true
	}
	if n == 0 {
		return false
	}
	c.parser.Reset()
	return c.begin(h, n)
}

// begin decides what becomes of the request whose head h takes the first n bytes of the input.
func (c *conn) begin(h *httpparse.Head, n int) bool {
	lim := &c.s.limits
	if c.l.e.accessLog != nil {
		c.observe(h)
	}
	if c.state != stateBody {
		c.respondMS = c.l.after(lim.responseMS)
	}
	c.isHead = h.IsHead
	c.persistent = h.Persistent && !c.ending()
	c.begun = false
	rest := c.in.Unread()[n:]
	await, err := c.body.Begin(h, len(rest), &lim.body)
	switch {
	case err != nil:
		c.in.Discard(n)
		c.refuse(httpparse.StatusOf(err))
		return true
	case await > 0:
		c.state = stateBody
		c.need = n + await
		c.updateDeadline()
		return false
	}
	return c.dispatch(h, n, rest)
}

// dispatch gives the exchange to the backend, with what is there of the body.
func (c *conn) dispatch(h *httpparse.Head, n int, rest []byte) bool {
	c.body.full = false
	part := c.body.Take(rest)
	h.Persistent = c.persistent
	running, err := c.s.backend.Start(c, h, c.s.index, part, c.body.Missing())
	if err != nil {
		c.in.Discard(n + len(part))
		c.overloaded(err)
		return true
	}
	c.in.Discard(n + len(part))
	c.running = running
	c.state = stateDispatched
	c.updateDeadline()
	return true
}

// overloaded answers an exchange that the backend refused. If the cause is load, the connection stays open, provided that no
// part of a body is missing: a peer that comes back later should not have to connect again.
func (c *conn) overloaded(err error) {
	switch {
	case errors.Is(err, backend.ErrHeadTooLarge):
		c.refuse(statusHeadTooLarge)
		return
	case errors.Is(err, backend.ErrBodyTooLarge):
		c.refuse(statusContentTooLarge)
		return
	}
	c.l.e.refused.Add(1)
	c.l.logRefused("requests", err)
	if !errors.Is(err, backend.ErrQueueFull) && !errors.Is(err, backend.ErrNoWorker) && !errors.Is(err, backend.ErrStopped) {
		c.refuse(statusInternal)
		return
	}
	c.answer(statusUnavailable, retryAfterSeconds, c.persistent && !c.body.Missing())
}
