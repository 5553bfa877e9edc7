package engine

import (
	"bytes"
	"errors"
	"math"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// beginHead: bytes have arrived on an idle connection. A request begins with the first that is not of an empty line: some clients send one
// after a body (RFC 9112 §2.2). The parser takes few of them.
func (c *conn) beginHead(nowMS uint64) {
	if len(bytes.TrimLeft(c.input.Unread(), "\r\n")) > 0 {
		c.state = stateHead
		c.setTimeout(nowMS, c.service.limits.headMS)
	}
}

// parse looks for a complete request in the input. It returns true if the state has changed and the connection can go on,
// false if more bytes are needed.
func (c *conn) parse(nowMS uint64) bool {
	if c.state == stateBody && !c.input.complete() {
		return false
	}
	c.current()
	if c.state == stateIdle {
		c.beginHead(nowMS)
	}
	h := &c.l.head
	n, err := c.input.head(h, &c.service.limits.head)
	if err != nil {
		if !c.becomesH2(err) {
			c.refuse(nowMS, httpparse.StatusOf(err), err.Error())
		}
		return true
	}
	if n == 0 {
		return false
	}
	if c.service.identifier != nil {
		c.identify(h)
		changed := c.begin(nowMS, h, n)
		c.forgetClient(h)
		return changed
	}
	return c.begin(nowMS, h, n)
}

// identify finds out who the client is, and what error pages it likes. forgetClient has to follow: the loop uses h again, for requests of other listeners too.
func (c *conn) identify(h *httpparse.Head) {
	c.service.identifier.Identify(h, c.socket.peer.Addr())
	if c.l.secure && !h.Client.IsValid() {
		h.Secure = true // the peer is the client
	}
	h.JSON = c.service.pages != nil && h.PrefersJSON()
}

func (c *conn) forgetClient(h *httpparse.Head) {
	h.Client, h.Secure, h.JSON = netip.Addr{}, c.l.secure, false
}

// begin decides what to do with the request whose head h is the first n bytes of the input. Its result is that of parse.
func (c *conn) begin(nowMS uint64, h *httpparse.Head, n int) bool {
	lim := &c.service.limits
	if c.l.e.observed {
		c.recordHead(h)
	}
	if c.state != stateBody {
		c.deadline.responseMS = after(nowMS, lim.responseMS)
		c.l.requests++
	}
	c.exchange.isHead, c.exchange.traits, c.exchange.extras = h.IsHead, traitsOf(h), c.service.extras
	c.exchange.persistent = h.Persistent && !c.ending()
	c.exchange.leads = h.Overlaps()
	rest := c.input.Unread()[n:]
	await, err := c.body.Begin(h, len(rest), &lim.body)
	switch {
	case err != nil:
		c.refuse(nowMS, httpparse.StatusOf(err), err.Error())
		return true
	case await == httpparse.AwaitWhole:
		c.beginSpooling(nowMS, h, n)
		return true
	case await > 0:
		c.state = stateBody
		c.input.need = n + await
		c.updateDeadline(nowMS)
		return false
	}
	c.dispatch(nowMS, h, n, rest)
	return true
}

// dispatch gives the exchange to the backend, with what has arrived of the body.
func (c *conn) dispatch(nowMS uint64, h *httpparse.Head, n int, rest []byte) {
	c.body.full = false
	part := c.body.Take(rest)
	h.Persistent = c.exchange.persistent
	running, err := c.service.backend.Start(c, h, c.service.index, part, c.body.Missing())
	if err != nil {
		c.startFailed(nowMS, err, n+len(part))
		return
	}
	c.input.Discard(n + len(part))
	c.started(nowMS, running)
}

// started: the backend has taken the exchange.
func (c *conn) started(nowMS uint64, running backend.Running) {
	c.exchange.running = running
	c.state = stateDispatched
	c.updateDeadline(nowMS)
}

// startFailed answers an exchange that the backend refused; its request is the first n bytes of the input. If the cause is
// load, or the rate of the client, the connection stays open, provided that no part of a body is missing: a peer that tries again later should not have
// to connect again.
func (c *conn) startFailed(nowMS uint64, err error, n int) {
	status, cause := startRefusal(err)
	page := httpwrite.ErrorPage{Status: status, RetryAfter: retryAfterSeconds}
	if many, ok := errors.AsType[*backend.TooMany](err); ok {
		page.RetryAfter, page.Fields = int(math.Ceil(many.RetryAfter.Seconds())), many.Fields
	} else if status != statusUnavailable {
		c.refuse(nowMS, status, cause)
		return
	}
	c.countRefused(status, cause)
	c.input.Discard(n)
	c.answerPage(nowMS, page, c.mayPersist())
}
