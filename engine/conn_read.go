package engine

import (
	"syscall"

	"moonbridge/reactor"
)

// roomMin is the least room that a read is given behind bytes of an unfinished head.
const roomMin = 4 << 10

// advance moves the connection on as far as the bytes at hand allow: reads, parses, dispatches, feeds a body.
// Every way that can leave unread bytes in the loop's read buffer ends here, in Settle.
func (c *conn) advance() {
	for reads := 0; ; {
		switch c.state {
		case stateIdle, stateHead, stateBody:
			if c.in.Len() > 0 && c.parse() {
				continue
			}
			if !c.readable || c.state == stateClosed {
				break
			}
			if reads == readsPerTurn {
				c.again()
				break
			}
			reads++
			if c.fill() {
				continue
			}
		case stateDispatched:
			c.pumpBody()
		case stateLingering:
			c.discard()
		}
		break
	}
	if c.state != stateClosed {
		c.in.Settle(c.l.pool)
	}
}

// fill reads once. It returns false if there is nothing to go on with: nothing to read, the end, or an error.
func (c *conn) fill() bool {
	room := c.in.Reserve(c.l.pool, roomMin)
	n, errno := reactor.Read(c.fd, room)
	if !c.sawRead(n, len(room), errno) {
		return false
	}
	c.in.Commit(n)
	switch c.state {
	case stateIdle:
		c.state = stateHead
		c.setDeadline(c.s.limits.headMS)
	case stateBody:
		c.updateDeadline()
	}
	return true
}

// sawRead keeps account of what a read of at most room bytes told. A short read has emptied the socket: the next byte
// makes a new edge, so a second read that would only say EAGAIN is spared. It returns false if no byte came.
func (c *conn) sawRead(n, room int, errno syscall.Errno) bool {
	switch {
	case errno == syscall.EAGAIN:
		c.readable = false
		return false
	case errno != 0:
		c.close()
		return false
	case n == 0:
		c.readable, c.eof = false, true
		c.inputEnded()
		return false
	}
	if n < room && !c.peerClosed {
		c.readable = false
	}
	return true
}

// inputEnded: the peer has finished sending. A request that is complete still gets its answer.
func (c *conn) inputEnded() {
	switch c.state {
	case stateIdle:
		c.close()
	case stateHead, stateBody:
		// RFC 9112 §8: an incomplete message. A peer that has only shut down its sending side learns why.
		c.refuse(statusBadRequest)
	case stateDispatched:
		if c.body.Missing() {
			c.body.Abort()
			c.persistent = false
			c.running.BodyAbort(false)
		}
	case stateLingering:
		c.close()
	}
}

// discard reads what the peer of a lingering connection still sends, for it to see our FIN and not a RST.
func (c *conn) discard() {
	for reads := 0; c.readable && c.state == stateLingering; reads++ {
		if reads == readsPerTurn {
			c.again()
			return
		}
		room := c.in.Reserve(c.l.pool, roomMin) // never committed: thrown away
		n, errno := reactor.Read(c.fd, room)
		if !c.sawRead(n, len(room), errno) {
			return
		}
		if c.discarded += n; c.discarded > drainBytesMax {
			c.reset()
			return
		}
	}
}
