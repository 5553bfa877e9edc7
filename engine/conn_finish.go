package engine

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// Done implements backend.Exchange: the exchange is over, and its output was taken.
func (c *conn) Done(end backend.End) {
	if c.state != stateDispatched {
		return
	}
	c.exchange.leave()
	if end == backend.EndKeep && !c.mayPersist() {
		end = backend.EndClose
	}
	c.conclude(c.l.sys.nowMS(), end)
}

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

// mayPersist reports whether another request can follow the one in progress: not if the rest of a body is still to come,
// which might be taken for a request.
func (c *conn) mayPersist() bool { return c.exchange.persistent && !c.body.Missing() }

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
	keep = keep && !c.ending() && !fixed.Close()
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

// conclude ends the exchange as soon as its output is sent.
func (c *conn) conclude(nowMS uint64, end backend.End) {
	if c.socket.broken || end == backend.EndReset {
		c.reset()
		return
	}
	c.exchange.end = end
	c.state = stateWriting
	if c.output.Len() > 0 {
		c.updateDeadline(nowMS)
		return
	}
	c.finish(nowMS)
}

// finish: the response is out. The connection takes the next request, or closes.
func (c *conn) finish(nowMS uint64) {
	end := c.exchange.end
	if c.exchange.record != nil {
		c.logAccess(true)
	}
	c.exchange = exchange{}
	c.deadline.responseMS = 0
	if end != backend.EndKeep {
		c.linger(nowMS)
		return
	}
	c.awaitNext(nowMS)
	if c.input.Len() > 0 || c.socket.readable {
		// The next request is here, or may be. It is parsed later, not within a call of the backend.
		c.again()
	}
}

// awaitNext: the peer knows the connection as persistent, and may send another request.
func (c *conn) awaitNext(nowMS uint64) {
	if c.ending() {
		c.awaitLast(nowMS)
		return
	}
	c.state = stateIdle
	c.setTimeout(nowMS, c.service.limits.idleMS)
}
