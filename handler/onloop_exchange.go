package handler

import (
	"bytes"

	"moonbridge/httpparse"

	"moonbridge/handler/backend"
)

// loopState is the state of an exchange on the loop, with its possible next states.
type loopState uint8

const (
	loopFree    loopState = iota // kept for reuse → body, waiting, answer, later, failed
	loopBody                     // waits for the request body → waiting, answer, later, failed, over
	loopWaiting                  // in onLoopBackend.waiting: the handler is called in a turn with room → answer, later, failed, gone
	loopGone                     // cancelled, and still in that list → over
	loopLater                    // the handler will answer later → waiting, answer, failed, over
	loopAnswer                   // the response is in onLoopBackend.bytes → rest, over
	loopFailed                   // there is no response → over
	loopRest                     // the connection has taken only part: the remainder is in rest → over
	loopOver                     // ended or cancelled: no more calls
)

// loopExchange is an exchange on the loop: the Running of OnLoop.
type loopExchange struct {
	l        *onLoopBackend
	x        backend.Exchange
	state    loopState
	queued   bool // EndTurn will settle it or is settling it
	listener int

	// While the body is not complete.
	head    httpparse.Head
	body    []byte
	trailer []byte

	status int // loopFailed; 0: reset

	later     *Later // nil: the handler has not asked for it
	peerEnded bool   // PeerEnd was called

	// loopAnswer: the body of the response is bodyLen bytes at l.bytes[at:], the head headLen bytes after it.
	at, bodyLen, headLen int
	end                  backend.End

	files []fileAt // ranges of files within the body, not taken yet
	base  int      // where the body begins, by the count of files

	rest []byte // loopRest
	off  int    // how many bytes of rest were taken

	next *loopExchange
}

// awaitBody keeps the request until its body is complete.
func (e *loopExchange) awaitBody(head *httpparse.Head, body []byte) {
	copyHead(&e.head, head)
	e.body = append(e.body[:0], body...)
	e.state = loopBody
}

// fail ends the exchange without a response: with an error response of the engine, or with a reset if status is 0.
func (e *loopExchange) fail(status int) {
	e.state = loopFailed
	e.status = status
}

// refuse ends the exchange without a call of the handler.
func (e *loopExchange) refuse(status int, cause string, head *httpparse.Head) {
	_, client := e.x.Addrs()
	e.l.failures.refused(status, cause, head, addrText(client))
	e.fail(status)
}

// settle does at the end of a turn what must not be done in Start. An exchange that was queued is put back for reuse
// only here.
func (e *loopExchange) settle() {
	switch e.state {
	case loopBody:
		if e.head.ExpectContinue {
			e.x.BodyWanted()
		}
	case loopFailed:
		x, status := e.x, e.status
		e.state = loopOver
		if status == 0 {
			x.Done(backend.EndReset)
		} else {
			x.Failed(status, 0)
		}
	case loopAnswer:
		e.answer()
	}
	e.queued = false
	if e.state == loopOver {
		e.l.putExchange(e)
	}
}

// answer offers the whole response. Bytes that the connection does not take are copied, since l.bytes is reused in the
// next turn.
func (e *loopExchange) answer() {
	b := e.l.bytes[e.at : e.at+e.bodyLen+e.headLen]
	body, head := b[:e.bodyLen], b[e.bodyLen:]
	n := 0
	if e.files == nil {
		n = e.x.Output(head, body, true)
	} else {
		o := outgoing{a: head, b: body, base: e.base, files: &e.files}
		n = o.offer(e.x, 0, true, func() bool { return e.state != loopAnswer })
	}
	if e.state != loopAnswer {
		return // cancelled in Output
	}
	if n < len(b) {
		e.base += n - len(head)
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

// OutputRoom offers the bytes that the connection has not taken.
func (e *loopExchange) OutputRoom() {
	if e.state != loopRest {
		return
	}
	n := e.off
	if e.files == nil {
		n += e.x.Output(e.rest[e.off:], nil, true)
	} else {
		o := outgoing{b: e.rest, base: e.base, files: &e.files}
		n = o.offer(e.x, e.off, true, func() bool { return e.state != loopRest })
	}
	if e.state != loopRest {
		return // cancelled in Output
	}
	if e.off = n; e.off == len(e.rest) {
		e.done()
		e.over()
	}
}

// over puts back an exchange that has ended outside settle.
func (e *loopExchange) over() {
	if !e.queued {
		e.l.putExchange(e)
	}
}

// BodyRoom returns room for the next bytes of the body. The room grows with the bytes that have arrived, not with the
// announced length. It is one byte larger than the largest allowed body, so that a body that is too large is noticed.
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

// BodyCommit adds n bytes of the room to the body.
func (e *loopExchange) BodyCommit(n int) {
	if e.state != loopBody {
		return
	}
	e.body = e.body[:len(e.body)+n]
	if len(e.body) > e.l.bodyMax {
		e.refuse(413, causeBodyLarge, &e.head)
		e.l.queue(e)
	}
}

// BodyTrailer keeps the trailer section for the handler.
func (e *loopExchange) BodyTrailer(section []byte) { e.trailer = bytes.Clone(section) }

// BodyEnd runs the handler.
func (e *loopExchange) BodyEnd() {
	if e.state != loopBody {
		return
	}
	e.l.serveOrWait(e, e.l.h)
}

// BodyAbort ends the exchange: the request is incomplete.
func (e *loopExchange) BodyAbort(tooLarge bool) {
	if e.state != loopBody {
		return
	}
	if tooLarge {
		e.refuse(413, causeBodyLarge, &e.head)
	} else {
		e.refuse(400, causeBodyBroken, &e.head)
	}
	e.l.queue(e)
}

// PeerEnd is of interest only to those that answer later: otherwise the handler is not waited for.
func (e *loopExchange) PeerEnd() {
	e.peerEnded = true
	if e.later != nil {
		e.later.peerEnded()
	}
}

// Cancel drops the exchange: the connection is gone.
func (e *loopExchange) Cancel() {
	switch e.state {
	case loopFree, loopGone, loopOver:
		return
	case loopWaiting:
		e.state = loopGone
		return
	}
	e.endLater()
	e.state = loopOver
	e.over()
}
