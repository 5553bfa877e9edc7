package engine

import "moonbridge/handler/backend"

// Done implements backend.Exchange: the exchange is over, and its output was taken.
func (c *conn) Done(end backend.End) {
	if c.state != stateDispatched {
		return
	}
	c.exchange.leave()
	if end == backend.EndKeep {
		end = c.endOf()
	}
	c.conclude(c.l.sys.nowMS(), end)
}

// mayPersist reports whether another request can follow the one in progress: not if the rest of a body is still to come,
// which might be taken for a request.
func (c *conn) mayPersist() bool { return c.exchange.persistent && !c.body.Missing() }

// conclude ends the exchange as soon as its output is sent.
func (c *conn) conclude(nowMS uint64, end backend.End) {
	if c.socket.broken || end == backend.EndReset {
		if !c.postpone(nowMS, failure{is: true, reset: true}) {
			c.reset()
		}
		return
	}
	c.exchange.end = end
	c.state = stateWriting
	if end == endDiscard {
		c.again()
	}
	if end != backend.EndKeep && c.pipeline != nil {
		c.cancelFollowers()
	}
	if c.waits() {
		if !c.follow(nowMS) {
			c.updateDeadline(nowMS)
		}
		return
	}
	c.finish(nowMS)
}

// finish: the response is out. The connection takes the next request, or closes.
func (c *conn) finish(nowMS uint64) {
	if c.failPostponed(nowMS) {
		return
	}
	end := c.exchange.end
	if c.exchange.record != nil {
		c.logAccess(true)
		if end == backend.EndKeep {
			c.reportIdle()
		}
	}
	c.exchange = exchange{}
	responseMS := c.deadline.responseMS
	c.deadline.responseMS = 0
	if c.pipeline != nil {
		if end == backend.EndKeep && c.follow(nowMS) {
			return
		}
		c.endPipeline()
	}
	if end == endDiscard {
		c.beginDiscarding(nowMS, responseMS)
		return
	}
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
