package engine

import "moonbridge/handler/backend"

// A handler may answer without reading the body of its request. If the rest of it is small, the connection reads it, throws it
// away, and goes on with the next request.

// endDiscard is backend.EndKeep for an exchange of which the rest of the body is to be thrown away before the next request.
const endDiscard = backend.EndReset + 1

// chunkedDiscardMax is how many bytes of a chunked body are thrown away at most, before the connection is closed. The response did not say
// that it would be, as nobody knew how much was missing. A client that had already sent all, though not all has arrived, would take the
// connection for its next request, and lose that. So this is more than what is usually on the way.
const chunkedDiscardMax = 16 << 20

// endOf is what happens to a connection whose backend would keep it.
func (c *conn) endOf() backend.End {
	switch {
	case c.mayPersist():
		return backend.EndKeep
	case c.exchange.persistent && !c.body.Expecting() && c.body.Left() <= backend.BodyDiscardMax:
		c.lingering.bytes = 0
		return endDiscard
	}
	return backend.EndClose
}

// beginDiscarding: the response is out, and a part of the body is still to come.
func (c *conn) beginDiscarding(nowMS, responseMS uint64) {
	c.deadline.responseMS = responseMS
	c.state = stateDiscarding
	c.updateDeadline(nowMS)
	c.again() // not within a call of the backend
}

// discardBody throws away what arrives of the body, while the response is being sent or after that.
func (c *conn) discardBody(nowMS uint64) {
	for reads := 0; c.body.Missing() && (c.state == stateDiscarding || c.state == stateWriting); {
		if c.input.Len() > 0 {
			c.discardInput(nowMS)
			continue
		}
		if !c.readMore(nowMS, &reads) {
			return
		}
	}
}

// discardInput takes bytes of the body from the input.
func (c *conn) discardInput(nowMS uint64) {
	unread := c.input.Unread()
	n := len(c.body.Take(unread))
	var err error
	if n == 0 {
		_, n, err = c.body.Move(c.l.spoolRoom(), nil, unread)
	}
	c.input.Discard(n)
	c.lingering.bytes += int32(n)
	switch {
	case err != nil || c.body.Missing() && c.lingering.bytes > chunkedDiscardMax:
		c.discarded(nowMS, backend.EndClose)
	case !c.body.Missing():
		c.discarded(nowMS, backend.EndKeep)
	}
}

// discarded: nothing more of the body is thrown away.
func (c *conn) discarded(nowMS uint64, end backend.End) {
	c.body.Abort()
	c.lingering.bytes = 0
	switch {
	case c.state == stateWriting:
		c.exchange.end = end
	case end == backend.EndKeep:
		c.deadline.responseMS = 0
		c.reportIdle()
		c.awaitNext(nowMS)
		c.again() // the next request may be here
	default:
		c.linger(nowMS)
	}
}
