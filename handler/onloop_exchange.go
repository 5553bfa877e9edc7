package handler

import (
	"moonbridge/httpparse"

	"moonbridge/handler/backend"
)

// loopState is how far an exchange on the loop is.
type loopState uint8

const (
	loopFree   loopState = iota // kept for use again → body, answer, failed
	loopBody                    // waits for the request body → answer, failed, over
	loopAnswer                  // the response is in loopPart.bytes → rest, over
	loopFailed                  // there will be no response → over
	loopRest                    // the connection has not taken all: the remainder is in rest → over
	loopOver                    // ended or cancelled: nothing is called any more
)

// loopExchange is an exchange on the loop: the Running of OnLoop.
type loopExchange struct {
	l        *loopPart
	x        backend.Exchange
	state    loopState
	queued   bool // EndTurn will look at it, or does so just now
	listener int

	// While the body is not complete.
	head httpparse.Head
	body []byte

	status int // loopFailed

	// loopAnswer: the body of the response is bodyLen bytes at l.bytes[at:], the head headLen bytes after it.
	at, bodyLen, headLen int
	end                  backend.End

	rest []byte // loopRest
	off  int    // how much of rest was taken

	next *loopExchange
}

// fail decides that there is no response.
func (e *loopExchange) fail(status int) {
	e.state = loopFailed
	e.status = status
}

// settle does at the end of a turn what could not be done in Start. It is the only place where an exchange is given back
// that was queued.
func (e *loopExchange) settle() {
	switch e.state {
	case loopBody:
		if e.head.ExpectContinue {
			e.x.BodyWanted()
		}
	case loopFailed:
		x, status := e.x, e.status
		e.state = loopOver
		x.Failed(status, 0)
	case loopAnswer:
		e.answer()
	}
	e.queued = false
	if e.state == loopOver {
		e.l.give(e)
	}
}

// answer offers the whole response. What the connection does not take is copied, since l.bytes ends with the turn.
func (e *loopExchange) answer() {
	b := e.l.bytes[e.at : e.at+e.bodyLen+e.headLen]
	body, head := b[:e.bodyLen], b[e.bodyLen:]
	n := e.x.Output(head, body, true)
	if e.state != loopAnswer {
		return // cancelled in Output
	}
	if n < len(b) {
		if n < len(head) {
			e.rest = append(e.rest[:0], head[n:]...)
			n = len(head)
		}
		e.rest = append(e.rest, body[n-len(head):]...)
		e.state = loopRest
		return
	}
	e.done()
}

func (e *loopExchange) done() {
	e.state = loopOver
	e.x.Done(e.end)
}

// OutputRoom offers what the connection has not taken.
func (e *loopExchange) OutputRoom() {
	if e.state != loopRest {
		return
	}
	n := e.x.Output(e.rest[e.off:], nil, true)
	if e.state != loopRest {
		return // cancelled in Output
	}
	if e.off += n; e.off == len(e.rest) {
		e.done()
		e.over()
	}
}

// over gives an exchange back that has ended outside of settle.
func (e *loopExchange) over() {
	if !e.queued {
		e.l.give(e)
	}
}

// BodyRoom is room for the next bytes of the body. It grows with what has arrived, not with what was announced, and is
// one byte larger than a body may be, so that one that is too large is noticed.
func (e *loopExchange) BodyRoom() (a, b []byte) {
	if e.state != loopBody {
		return nil, nil
	}
	if len(e.body) == cap(e.body) {
		const first = 4 << 10
		room := make([]byte, len(e.body), min(max(2*cap(e.body), first), e.l.bodyMax+1))
		copy(room, e.body)
		e.body = room
	}
	return e.body[len(e.body):min(cap(e.body), e.l.bodyMax+1)], nil
}

// BodyCommit says that n bytes were put into the room.
func (e *loopExchange) BodyCommit(n int) {
	if e.state != loopBody {
		return
	}
	e.body = e.body[:len(e.body)+n]
	if len(e.body) > e.l.bodyMax {
		e.fail(413)
		e.l.queue(e)
	}
}

// BodyEnd runs the handler.
func (e *loopExchange) BodyEnd() {
	if e.state != loopBody {
		return
	}
	e.l.serve(e, &e.head, e.body)
	e.l.queue(e)
}

// BodyAbort ends the exchange: there is no request to handle.
func (e *loopExchange) BodyAbort(tooLarge bool) {
	if e.state != loopBody {
		return
	}
	if tooLarge {
		e.fail(413)
	} else {
		e.fail(400)
	}
	e.l.queue(e)
}

// Cancel forgets the exchange: the connection is gone.
func (e *loopExchange) Cancel() {
	if e.state == loopOver || e.state == loopFree {
		return
	}
	e.state = loopOver
	e.over()
}
