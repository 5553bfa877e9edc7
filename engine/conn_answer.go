package engine

import (
	"bytes"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// Responses of the engine's own: error pages, in place of a handler that was never called, or that has failed.

// Failed implements backend.Exchange: there is no response, or no more of it.
func (c *conn) Failed(status int, retryAfter time.Duration) { c.failedWith(status, retryAfter, nil) }

// Refused implements backend.Refuser.
func (c *conn) Refused(err error) {
	status, retryAfter := backend.RefusalOf(err)
	c.failedWith(status, retryAfter, backend.RefusalFields(err))
}

// failedWith is Failed with field lines for the answer, which are valid during the call.
func (c *conn) failedWith(status int, retryAfter time.Duration, fields []byte) {
	if c.state != stateDispatched {
		return
	}
	nowMS := c.l.sys.nowMS()
	c.exchange.leave()
	if c.exchange.begun || c.exchange.midHead() {
		c.conclude(nowMS, backend.EndReset)
		return
	}
	f := failure{is: true, status: status, retryAfter: int((retryAfter + time.Second - 1) / time.Second), fields: fields}
	if !c.postpone(nowMS, f) {
		c.fail(nowMS, f)
	}
}

// failure is an end of an exchange that comes after everything that is still to be sent.
type failure struct {
	is, reset  bool
	status     int    // unless reset
	retryAfter int    // seconds
	fields     []byte // more field lines
}

// postpone lets a failure wait until the responses before it are sent: they are complete, and an error page must not come
// in the middle of one. false: nothing has to be sent before it.
func (c *conn) postpone(nowMS uint64, f failure) bool {
	others := c.pipeline != nil || !f.reset && (c.spooledOutput() > 0 || c.files != nil)
	if c.socket.broken || !others || c.unsent() == 0 {
		return false
	}
	f.fields = bytes.Clone(f.fields)
	c.exchange.extra().failure = f
	c.exchange.end = backend.EndReset
	c.state = stateWriting
	if c.pipeline != nil && (f.reset || f.status == backend.StatusClientGone) {
		c.cancelFollowers()
	}
	c.updateDeadline(nowMS)
	return true
}

// failPostponed carries out a failure that has waited, if there is one.
func (c *conn) failPostponed(nowMS uint64) bool {
	if c.exchange.extras == nil || !c.exchange.extras.failure.is {
		return false
	}
	f := c.exchange.extras.failure
	c.exchange.extras.failure = failure{}
	c.fail(nowMS, f)
	return true
}

func (c *conn) fail(nowMS uint64, f failure) {
	switch {
	case f.reset:
		c.reset()
	case f.status == backend.StatusClientGone:
		c.clientGone()
	default:
		c.answerPage(nowMS, httpwrite.ErrorPage{Status: f.status, RetryAfter: f.retryAfter, Fields: f.fields}, c.mayPersist())
	}
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
	c.answerPage(nowMS, httpwrite.ErrorPage{Status: status, RetryAfter: retryAfter}, keep)
}

// answerPage sends a response of the engine's own. What it says of the connection and the listener is set here.
func (c *conn) answerPage(nowMS uint64, p httpwrite.ErrorPage, keep bool) {
	fixed := &c.service.limits.fixed
	keep = keep && (!c.ending() || c.inProgress() > 1) && !fixed.Close() && c.exchange.traits&http10 == 0
	if c.spool != nil && c.spool.output == nil {
		c.dropSpool() // the request
	}
	p.Close, p.NoBody, p.Fixed, p.Codings = !keep, c.exchange.isHead, fixed, c.service.limits.body.Codings
	p.Pages, p.JSON = c.service.pages, c.exchange.traits&likesJSON != 0
	page := c.l.makeErrorPage(p)
	c.exchange.begun = true
	c.send(page)
	if c.l.e.observed {
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
