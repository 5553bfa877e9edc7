package engine

import (
	"math"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// A part of a response may come from another connection of the loop (backend.ConnSender). Its bytes go through a pipe, as those of
// spliced raw connections do. What the socket does not take stays in the pipe, which waits like a range of a file.

// splicedPerTurn bounds how much a connection moves before the others get their turn.
const splicedPerTurn = 1 << 20

// filling is what has come of an attempt to fill a pipe.
type filling uint8

const (
	fillRefused filling = iota // there is no pipe, or the socket cannot be spliced from
	fillNothing                // the socket has nothing: an edge or the end will be told
	fillLittle                 // it had so little that a copy of what follows costs less
	fillMuch
)

// OutputConn implements backend.ConnSender.
func (c *conn) OutputConn(head []byte, from backend.Conn, n int64) (s backend.Spliced) {
	o, is := from.(*rawConn)
	if !is || !c.maySplice(o, head) {
		return s
	}
	nowMS := c.l.sys.nowMS()
	if c.waits() {
		s.Full = len(head)+o.input.Len() == 0 && c.waitsForPipe(nowMS)
		s.Done, o.paused = s.Full, s.Full
		return s
	}
	o.withheld = false
	for {
		filled := c.spliceOnce(nowMS, o, head, n, &s)
		head = nil
		switch {
		case s.Done && s.Moved == n:
			s.More, s.Full = o.goesOn(), false
			return s
		case s.Full:
			if s.Full = c.waitsForPipe(nowMS); s.Full {
				o.paused = true
			} else {
				o.again() // to be read, and spooled
			}
			return s
		case filled == fillNothing:
			o.withheld = !o.due && !o.gone
			return s
		case filled != fillMuch || c.socket.broken:
			o.again() // to be read
			return s
		case s.Moved >= splicedPerTurn:
			o.withheld = true
			o.queue()
			return s
		}
	}
}

// spliceOnce fills a pipe from o, whose bytes up to the n-th are wanted, and sends head, what o has read, and what is in the pipe.
func (c *conn) spliceOnce(nowMS uint64, o *rawConn, head []byte, n int64, s *backend.Spliced) filling {
	p := c.l.raw.pipes.take()
	if p == nil {
		return fillRefused
	}
	filled := o.fillPipe(p, n-s.Moved)
	if filled == fillRefused {
		c.l.raw.pipes.release(p)
		return filled
	}
	s.Done = true
	s.Moved += int64(p.n)
	c.outputPipe(nowMS, head, o.input.Unread(), p)
	if o.input.Discard(o.input.Len()); !o.busy {
		o.input.Release(o.l.pool) // nothing of o may happen for a while
	}
	s.Full = c.waits()
	return filled
}

// waitsForPipe: something waits for the peer. It reports whether the rest of the response is to wait where it is, and not in the spool.
func (c *conn) waitsForPipe(nowMS uint64) bool {
	if c.service.limits.spoolOutput > 0 && c.exchange.traits&streams == 0 && !c.staysInBackend(nowMS, math.MaxInt, false) {
		return false
	}
	c.exchange.wantsRoom = true
	return true
}

// maySplice reports whether bytes of o may go to the peer through a pipe, after head.
func (c *conn) maySplice(o *rawConn, head []byte) bool {
	return c.l.sys.splice != nil && o.l == c.l && o.bulk && o.state == rawOpen && !o.gone && !o.socket.eof &&
		c.state == stateDispatched && !c.socket.broken && c.pipeline == nil && c.spool == nil &&
		len(head)+o.input.Len() <= c.service.limits.outputBytes && !c.exchange.completes()
}

// fillPipe moves up to n bytes from the socket to an empty pipe.
func (c *rawConn) fillPipe(p *pipe, n int64) filling {
	if !c.socket.readable || c.socket.eof {
		return fillNothing
	}
	moved, errno := c.l.sys.splice(c.socket.fd, p.W, int(min(n, reactor.PipeBytes)))
	c.l.traffic.read += uint64(moved)
	p.n = moved
	if moved == 0 {
		if !c.splicedNothing(errno) {
			return fillRefused
		}
		if c.due || c.gone {
			c.again()
		}
		return fillNothing
	}
	c.moved()
	if c.bulk = moved >= spliceMin; c.bulk {
		return fillMuch
	}
	return fillLittle
}

// outputPipe sends head, unread, and what is in the pipe, and keeps what the socket does not take.
func (c *conn) outputPipe(nowMS uint64, head, unread []byte, p *pipe) {
	if len(head)+len(unread) > 0 {
		c.Output(head, unread, true) // as if they were the last: all of them are taken
	}
	c.exchange.begun = true
	taken, sent := int64(p.n), int64(0)
	if !c.waits() {
		sent = c.sendPipe(p)
	}
	if c.socket.broken {
		taken = sent // the rest goes with the pipe, and does not wait
	}
	if record := c.exchange.record; record != nil {
		record.Response.Skip(taken)
	}
	if p.n == 0 || c.socket.broken {
		c.l.raw.pipes.release(p)
		if c.socket.broken {
			c.again()
		}
		c.updateDeadline(nowMS)
		return
	}
	if c.files == nil {
		c.files = new(fileList)
	}
	c.files.addPipe(p)
	c.awaitPeer(nowMS)
}

// sendPipe sends what is in a pipe, as far as the socket takes it.
func (c *conn) sendPipe(p *pipe) (sent int64) {
	for p.n > 0 && c.socket.writable && !c.socket.broken {
		n := c.sendPart(p)
		p.n -= n
		sent += int64(n)
		c.exchange.sent(n)
	}
	return sent
}

// sendPart makes one system call that sends from a pipe, and returns how many bytes the socket has taken.
func (c *conn) sendPart(p *pipe) (n int) {
	if p.taken != nil {
		n = c.socket.write(&c.l.sys, p.taken, nil)
		p.taken = p.taken[n:]
		return n
	}
	n, errno := c.l.sys.splice(p.R, c.socket.fd, p.n)
	c.l.traffic.written += uint64(n)
	switch errno {
	case 0:
		c.socket.broken = n == 0
	case syscall.EAGAIN:
		c.socket.writable = false
	case syscall.EINVAL, syscall.ENOSYS, syscall.EPERM:
		c.l.raw.pipes.none = true
		p.taken = p.contents()
	default:
		c.socket.broken, c.socket.errno = true, uint16(errno)
	}
	return n
}

// goesOn reports whether a connection that has been read up to a certain byte has more, or has ended.
func (c *rawConn) goesOn() bool {
	if c.socket.eof || c.socket.peerClosed || c.gone {
		return true
	}
	if !c.socket.readable {
		return false
	}
	var next [1]byte
	_, errno := reactor.Peek(c.socket.fd, next[:])
	c.socket.readable = errno != syscall.EAGAIN
	return c.socket.readable
}

// NextRead implements backend.Source.
func (c *rawConn) NextRead(most int) { c.readMost = int32(min(most, math.MaxInt32)) }
