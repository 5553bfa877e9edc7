package static

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/files"
	"moonbridge/httpparse"
)

// state is the state of an exchange, with its possible next states.
type state uint8

const (
	stateFree   state = iota // kept for reuse → lookup, answer, failed
	stateLookup              // waits for a lookup → answer, failed, passed, over
	stateAnswer              // the response is ready → over
	stateFailed              // the engine is to answer → over
	statePassed              // the next backend has it → over
	stateOver                // ended or cancelled: no more calls
)

// retryAfter is what clients are told when too many lookups wait.
const retryAfter = time.Second

// exchange is an exchange in progress: the Running of a Static.
type exchange struct {
	l        *loop
	x        backend.Exchange
	state    state
	queued   bool // EndTurn will settle it
	listener int

	// From the request.
	isHead    bool
	keepAlive bool           // Connection: keep-alive is needed
	close     bool           // the connection ends after the response
	head      httpparse.Head // a copy, for stateLookup

	// stateLookup, statePassed.
	peerEnd bool
	inner   backend.Running

	// stateFailed.
	status     int
	retryAfter time.Duration

	// stateAnswer: the response is the head, l.heads[at:at+headLen], then body, then parts of file, then closing. rest is what the
	// connection has not taken of what comes before the next part.
	at, headLen int
	body        []byte
	file        *file
	parts       []files.Part
	whole       [1]files.Part // room for parts
	closing     []byte
	sent        bool // head and body were offered
	rest        []byte
	off         int // bytes of rest that were taken

	next *exchange
}

// keepHead keeps a copy of the request head.
func (e *exchange) keepHead(h *httpparse.Head) {
	raw, fields, id, trace := e.head.Raw[:0], e.head.Fields[:0], e.head.ID[:0], e.head.Trace[:0]
	e.head = *h
	e.head.Raw = append(raw, h.Raw...)
	e.head.Fields = append(fields, h.Fields...)
	if h.ID != nil {
		e.head.ID = append(id, h.ID...)
	}
	e.head.Trace = append(trace, h.Trace...)
}

// fail makes the engine answer.
func (e *exchange) fail(status int, after time.Duration) {
	e.state, e.status, e.retryAfter = stateFailed, status, after
}

// pass gives the exchange to the next backend.
func (e *exchange) pass() {
	e.state = statePassed
	inner, err := e.l.Next.Start(e.x, &e.head, e.listener, nil, false)
	if err != nil {
		backend.CountRefused(e.l.on, e.x, &e.head, err)
		e.state = stateOver
		backend.Refuse(e.x, err)
		e.reuse()
		return
	}
	e.inner = inner
	if e.peerEnd {
		inner.PeerEnd()
	}
}

// settle sends the response, or what of it the connection takes now.
func (e *exchange) settle() {
	switch e.state {
	case stateFailed:
		e.state = stateOver
		e.x.Failed(e.status, e.retryAfter)
	case stateAnswer:
		e.send()
	}
	e.queued = false
	e.reuse()
}

// reuse puts back an exchange that has ended.
func (e *exchange) reuse() {
	if e.state != stateOver || e.queued {
		return
	}
	if e.file != nil {
		e.file.Release()
	}
	e.l.putExchange(e)
}

// send offers the response, as far as the connection takes it. It may end the exchange.
func (e *exchange) send() {
	if !e.sent {
		e.sent = true
		if !e.sendHead() {
			return
		}
	}
	for len(e.parts) > 0 {
		p := e.parts[0]
		if len(p.Before) > 0 {
			e.parts[0].Before = nil
			if !e.offer(p.Before, nil) {
				return
			}
		}
		e.parts = e.parts[1:]
		if !e.sendPart(p) {
			return
		}
	}
	if len(e.closing) > 0 {
		closing := e.closing
		e.closing = nil
		if !e.offer(closing, nil) {
			return
		}
	}
	e.state = stateOver
	if e.close {
		e.x.Done(backend.EndClose)
	} else {
		e.x.Done(backend.EndKeep)
	}
}

// sendHead offers the head, and what there is in memory of the body. If a file comes next, both go together. The result is that
// of offer.
func (e *exchange) sendHead() bool {
	head := e.l.heads[e.at : e.at+e.headLen]
	joiner, ok := e.x.(backend.FileJoiner)
	if !ok || len(e.parts) == 0 || len(e.parts[0].Before) > 0 || !e.file.acquire() {
		return e.offer(head, e.body)
	}
	p, f := e.parts[0], e.file
	e.parts = e.parts[1:]
	n := joiner.OutputJoined(head, f, p.Offset, p.Length, e.last())
	if n == len(head) {
		return e.state == stateAnswer
	}
	f.Release()
	if e.state == stateAnswer {
		e.parts = append([]files.Part{p}, e.parts...)
		e.keepRest(head, nil, n)
	}
	return false
}

// last reports whether nothing comes after what is being sent.
func (e *exchange) last() bool { return len(e.parts) == 0 && len(e.closing) == 0 }

// sendPart sends a part of the file. false: the exchange was cancelled.
func (e *exchange) sendPart(p files.Part) bool {
	sender, ok := e.x.(backend.FileSender)
	if !ok || !e.file.acquire() {
		e.state = stateOver
		e.x.Done(backend.EndReset)
		return false
	}
	sender.OutputFile(e.file, p.Offset, p.Length, e.last())
	return e.state == stateAnswer
}

// offer offers bytes. false: the connection has not taken all of them, and e keeps a copy; or e was cancelled.
func (e *exchange) offer(a, b []byte) bool {
	if len(a)+len(b) == 0 {
		return true
	}
	n := e.x.Output(a, b, e.last())
	if e.state != stateAnswer {
		return false
	}
	if n == len(a)+len(b) {
		return true
	}
	e.keepRest(a, b, n)
	return false
}

// keepRest keeps what comes after the first n bytes of a and b.
func (e *exchange) keepRest(a, b []byte, n int) {
	e.rest, e.off = e.rest[:0], 0
	if n < len(a) {
		e.rest = append(e.rest, a[n:]...)
		n = len(a)
	}
	e.rest = append(e.rest, b[n-len(a):]...)
}

// OutputRoom offers what the connection has not taken.
func (e *exchange) OutputRoom() {
	switch e.state {
	case statePassed:
		e.inner.OutputRoom()
	case stateAnswer:
		if rest := e.rest[e.off:]; len(rest) > 0 {
			e.off += e.x.Output(rest, nil, e.last())
			if e.state != stateAnswer || e.off < len(e.rest) {
				break
			}
		}
		e.send()
		e.reuse()
	}
}

// BodyRoom returns no room: only bodies of requests that are answered without them come here.
func (e *exchange) BodyRoom() (a, b []byte) {
	if e.state == statePassed {
		return e.inner.BodyRoom()
	}
	return nil, nil
}

// BodyCommit passes the call on.
func (e *exchange) BodyCommit(n int) {
	if e.state == statePassed {
		e.inner.BodyCommit(n)
	}
}

// BodyEnd passes the call on.
func (e *exchange) BodyEnd() {
	if e.state == statePassed {
		e.inner.BodyEnd()
	}
}

// BodyAbort passes the call on.
func (e *exchange) BodyAbort(tooLarge bool) {
	if e.state == statePassed {
		e.inner.BodyAbort(tooLarge)
	}
}

// PeerEnd passes the call on. A file is sent all the same: the peer may still read.
func (e *exchange) PeerEnd() {
	switch e.state {
	case statePassed:
		e.inner.PeerEnd()
	case stateLookup:
		e.peerEnd = true
	}
}

// CacheTimes implements backend.CacheTimed: the next backend may be a cache. A file has no handler that it could wait for.
func (e *exchange) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	if e.inner == nil {
		return -1, -1, backend.CacheNone
	}
	return backend.TimesOf(e.inner)
}

// Upstream implements backend.Forwarded.
func (e *exchange) Upstream() (address string, sent int) { return backend.UpstreamOf(e.inner) }

// Cancel ends the exchange: the connection is gone.
func (e *exchange) Cancel() {
	switch e.state {
	case statePassed:
		e.state = stateOver
		e.inner.Cancel()
	case stateLookup:
		e.state = stateOver // found has a reference, so it is not used again
	case stateAnswer, stateFailed:
		e.state = stateOver
		if e.sent && !e.queued {
			e.reuse()
		}
	}
}
