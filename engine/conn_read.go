package engine

import "moonbridge/handler/backend"

// roomMin is the least room, in bytes, that a read gets after the bytes of an incomplete head.
const roomMin = 4 << 10

// advance takes the connection as far as the bytes at hand allow: it reads, parses, dispatches, and feeds a body.
// Everything that may leave unread bytes in the loop's read buffer ends here, in Settle.
func (c *conn) advance(nowMS uint64) {
	c.receive(nowMS)
	switch c.state {
	case stateSpooling:
		c.spoolBody(nowMS)
	case stateDispatched:
		c.pumpBody(nowMS)
	case stateLingering:
		c.discard(nowMS)
	case stateWriting, stateDiscarding:
		if c.state == stateDiscarding || c.exchange.end == endDiscard {
			c.discardBody(nowMS)
		}
	}
	if c.exchange.leads && (c.input.Len() > 0 || c.socket.readable) {
		c.takeFollowers(nowMS)
	}
	c.tellPeerEnd()
	if c.state != stateClosed {
		c.input.Settle(c.l.pool)
	}
}

// receive reads and parses until a request was handed over or there is nothing more to read.
func (c *conn) receive(nowMS uint64) {
	for reads := 0; c.state.receiving(); {
		if c.input.Len() > 0 && c.parse(nowMS) {
			continue
		}
		if !c.readMore(nowMS, &reads) {
			return
		}
	}
}

// readMore is fill for a loop that calls it until it returns false. At readsPerTurn reads it goes on in the next turn.
func (c *conn) readMore(nowMS uint64, reads *int) bool {
	if !c.socket.readable {
		return false
	}
	if *reads == readsPerTurn {
		c.again()
		return false
	}
	*reads++
	return c.fill(nowMS)
}

// fill reads once into the input. It returns false if no byte came.
func (c *conn) fill(nowMS uint64) bool {
	n, ok := c.read(nowMS, c.input.Reserve(c.l.pool, roomMin))
	if !ok {
		return false
	}
	c.input.Commit(n)
	switch c.state {
	case stateIdle:
		c.beginHead(nowMS)
	case stateBody, stateSpooling, stateDiscarding:
		c.updateDeadline(nowMS)
	}
	return true
}

// read reads once into p, and deals with the end of the connection. It returns false if no byte came.
func (c *conn) read(nowMS uint64, p []byte) (n int, ok bool) {
	n, result := c.socket.read(&c.l.sys, p)
	switch result {
	case readEnd:
		c.inputEnded(nowMS)
	case readFailed:
		c.close()
	}
	return n, result == readBytes
}

// inputEnded: the peer has finished sending. A request that is complete is still answered.
func (c *conn) inputEnded(nowMS uint64) {
	switch c.state {
	case stateIdle:
		c.linger(nowMS) // for the last words in TLS; there is nothing to wait for
	case stateDiscarding, stateLingering:
		c.close()
	case stateWriting:
		c.discarded(nowMS, backend.EndClose)
	case stateHead, stateBody, stateSpooling:
		// An incomplete message (RFC 9112 §8). A peer that has only shut down its sending side is told why.
		cause := causeHeadCut
		if c.state != stateHead {
			cause = causeBodyCut
		}
		c.refuse(nowMS, statusBadRequest, cause)
	case stateDispatched:
		if c.body.Missing() {
			c.abortBody(nowMS, false)
		} else {
			c.socket.readable = true // it was read too early: the next request has to meet the end too
		}
	}
}
