package engine

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// Responses of the engine's own: error pages, in place of a handler that was never called, or that has failed.

// Failed implements backend.Exchange: there is no response, or no more of it.
func (c *conn) Failed(status int, retryAfter time.Duration) {
	if c.state != stateDispatched {
		return
	}
	nowMS := c.l.sys.nowMS()
	c.exchange.leave()
	switch {
	case c.exchange.begun || c.exchange.midHead():
		c.conclude(nowMS, backend.EndReset)
		return
	case status == backend.StatusClientGone:
		c.clientGone()
		return
	}
	seconds := int((retryAfter + time.Second - 1) / time.Second)
	c.answer(nowMS, status, seconds, c.mayPersist())
}

// refuse answers the request at the start of the input, which never reaches a handler, and closes: where the next request
// would begin is unknown.
func (c *conn) refuse(nowMS uint64, status int, cause string) {
	c.countRefused(status, cause)
	c.input.Discard(c.input.Len())
	c.answer(nowMS, status, 0, false)
}

// answer sends a response of the engine's own. retryAfter is in seconds, 0 leaves the field out.
func (c *conn) answer(nowMS uint64, status, retryAfter int, keep bool) {
	fixed := &c.service.limits.fixed
	keep = keep && (!c.ending() || c.inProgress() > 1) && !fixed.Close()
	c.dropSpool()
	page := c.l.makeErrorPage(httpwrite.ErrorPage{
		Status: status, RetryAfter: retryAfter, Close: !keep, NoBody: c.exchange.isHead, Fixed: fixed})
	c.exchange.begun = true
	c.send(page)
	if c.l.e.accessLog != nil {
		c.recordAnswer(page)
	}
	if keep {
		c.conclude(nowMS, backend.EndKeep)
	} else {
		c.conclude(nowMS, backend.EndClose)
	}
}

// makeErrorPage makes a response of the engine's own, in room that the next one uses again.
func (l *loop) makeErrorPage(p httpwrite.ErrorPage) []byte {
	p.Unix = l.sys.wallClock().Unix()
	l.errorPage = p.Append(l.errorPage[:0])
	return l.errorPage
}
