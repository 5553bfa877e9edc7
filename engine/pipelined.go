package engine

import (
	"bytes"
	"net/netip"
	"time"

	"moonbridge/handler/backend"
)

// pipelined is the exchange of a follower. Until its turn comes it keeps what the backend outputs, up to a bound, and how the
// backend has ended it. Then it is the connection's exchange, and passes everything on.
type pipelined struct {
	c          *conn
	exchange   exchange // until its turn
	responseMS uint64   // end of the response timeout; 0: none
	output     output
	files      *fileList // nil: no file was output
	status     int       // of Failed
	retryAfter time.Duration
	fields     []byte

	current   bool // its turn has come, and the connection has taken what was kept
	late      bool // its turn has come, but the spool has no room for what was kept
	over      bool // Done, Complete or Failed was called before its turn
	completed bool // Complete was called: Left may follow

	next *pipelined // of the same connection, or in the loop's list of free ones
}

// takeTurn: p is the connection's exchange from now on. The connection gets what has come so far.
func (p *pipelined) takeTurn() {
	c := p.c
	if p.late = !p.passOn(); p.late {
		c.exchange.running = lateRunning{p}
		return
	}
	p.current = true
	c.exchange.running, c.exchange.wantsRoom, c.exchange.traits = p.exchange.running, p.exchange.wantsRoom, p.exchange.traits
	if c.exchange.wantsRoom {
		c.again() // not within a call of the backend
	}
	if !p.over {
		return
	}
	end, status, retryAfter, fields := p.exchange.end, p.status, p.retryAfter, p.fields
	if !p.completed {
		c.l.releasePipelined(p)
	}
	if status != 0 {
		c.failedWith(status, retryAfter, fields)
	} else {
		c.Done(end)
	}
}

// passOn gives what was kept to the connection. false: the spool has no room for all of it.
func (p *pipelined) passOn() (all bool) {
	c := p.c
	for {
		if p.output.Len() > 0 {
			p.output.Discard(c.l.pool, c.Output(p.output.Unsent(), nil, true))
		}
		if p.output.Len() > 0 {
			return false
		}
		if p.files == nil {
			return true
		}
		if p.files.broken {
			c.breakOff()
		}
		r := p.files.takeFirst()
		if len(p.files.ranges) == 0 {
			p.files = nil
		}
		p.output.Output = r.after
		c.OutputFile(r.file, r.offset, r.left, false)
	}
}

// kept is how many bytes are kept in memory.
func (p *pipelined) kept() int {
	n := p.output.Len()
	if p.files != nil {
		n += p.files.kept
	}
	return n
}

// drop gives back what was kept.
func (p *pipelined) drop() {
	p.output.Release(p.c.l.pool)
	if q := p.files; q != nil {
		p.files = nil
		q.release(p.c.l.pool)
	}
}

// OutputFile implements backend.FileSender.
func (p *pipelined) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	if p.current {
		p.c.OutputFile(f, offset, n, last)
		return
	}
	if p.files == nil {
		p.files = new(fileList)
	}
	p.files.add(f, offset, n)
}

// OutputJoined implements backend.FileJoiner.
func (p *pipelined) OutputJoined(a []byte, f backend.SentFile, offset, n int64, last bool) (taken int) {
	if p.current {
		return p.c.OutputJoined(a, f, offset, n, last)
	}
	if taken = p.Output(a, nil, false); taken == len(a) {
		p.OutputFile(f, offset, n, last)
	}
	return taken
}

// Output implements backend.Exchange.
func (p *pipelined) Output(a, b []byte, last bool) int {
	if p.current {
		return p.c.Output(a, b, last)
	}
	room := max(0, p.c.service.limits.outputBytes-p.c.pipeline.kept)
	if p.late {
		room = 0
	}
	if last && room > 0 {
		room = len(a) + len(b)
	}
	n := 0
	if p.files != nil {
		n = p.files.keep(p.c.l.pool, a, b, room)
	} else {
		n = p.output.keep(p.c.l.pool, a, b, room)
	}
	p.c.pipeline.kept += n
	p.exchange.wantsRoom = n < len(a)+len(b)
	return n
}

// Done implements backend.Exchange.
func (p *pipelined) Done(end backend.End) {
	if !p.current {
		p.exchange.leave()
		p.over, p.exchange.end = true, end
		return
	}
	c := p.c
	if !p.completed {
		c.l.releasePipelined(p)
	}
	c.Done(end)
}

// Complete implements backend.Exchange.
func (p *pipelined) Complete(running backend.Running, end backend.End) {
	p.completed = true
	if p.current {
		p.c.Complete(running, end)
		return
	}
	p.c.addRemainder(running, p.responseMS)
	p.Done(end)
}

// Left implements backend.Exchange.
func (p *pipelined) Left(running backend.Running) { p.c.Left(running) }

// Failed implements backend.Exchange.
func (p *pipelined) Failed(status int, retryAfter time.Duration) {
	p.failedWith(status, retryAfter, nil)
}

// Refused implements backend.Refuser.
func (p *pipelined) Refused(err error) {
	status, retryAfter := backend.RefusalOf(err)
	p.failedWith(status, retryAfter, backend.RefusalFields(err))
}

func (p *pipelined) failedWith(status int, retryAfter time.Duration, fields []byte) {
	if !p.current {
		p.exchange.leave()
		p.over, p.status, p.retryAfter, p.fields = true, status, retryAfter, bytes.Clone(fields)
		if a := p.exchange.record; a != nil && status == backend.StatusClientGone {
			a.Status = status
		}
		return
	}
	c := p.c
	c.l.releasePipelined(p)
	c.failedWith(status, retryAfter, fields)
}

// BodyRoom implements backend.Exchange: a follower has no body.
func (p *pipelined) BodyRoom() {}

// BodyWanted implements backend.Exchange: a follower has no body.
func (p *pipelined) BodyWanted() {}

// ConnValue implements backend.ConnKeeper.
func (p *pipelined) ConnValue() any { return p.c.ConnValue() }

// SetConnValue implements backend.ConnKeeper.
func (p *pipelined) SetConnValue(v any) { p.c.SetConnValue(v) }

// Addrs implements backend.Exchange.
func (p *pipelined) Addrs() (local, remote netip.AddrPort) { return p.c.Addrs() }
