package handler

import (
	"math"
	"slices"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// OnLoop returns a Backend that calls h on the loop. h must not block: while it runs, every other connection of the
// loop waits. In return, nothing is copied or passed between threads, and next to nothing is allocated.
//
// The handler is called when the whole request body has arrived. Its response is sent at the end of the turn, together
// with all other responses of the turn. A nil h panics.
func OnLoop(h Handler) backend.Backend { return Config{}.OnLoop(h) }

// OnLoop is like the function OnLoop, with the limits of c.
func (c Config) OnLoop(h Handler) backend.Backend {
	mustServe("OnLoop", h)
	return &onLoop{h: withLogger(h, c.logger()), config: c}
}

type onLoop struct {
	h      Handler
	config Config
}

// Attach creates the instance of the backend on loop l.
func (b *onLoop) Attach(l backend.Loop) (backend.LoopBackend, error) {
	lb := &onLoopBackend{
		h:           b.h,
		loop:        l,
		failures:    newFailures(b.config.logger(), panicLog(b.h)),
		bodyMax:     min(b.config.bodyMax(), math.MaxInt-1), // BodyRoom has one byte more
		responseMax: b.config.responseMax(),
		laterMax:    durationOr(b.config.LaterMax, laterMaxDefault),
	}
	lb.most = lb.bodyMax
	lb.past = call{Response{endedResponse}, Request{endedRequest}}
	if lb.check = backend.Checks(l); lb.check {
		lb.past = call{} // what a handler keeps panics
	}
	return lb, nil
}

// onLoopBackend is OnLoop on one loop: its LoopBackend and its Turn.
type onLoopBackend struct {
	// Immutable.
	h           Handler
	loop        backend.Loop
	failures    *failures
	bodyMax     int
	responseMax int
	laterMax    time.Duration
	past        call // what a call becomes after Serve
	check       bool // see backend.Checks

	// Owned by the loop.
	dates httpwrite.Date
	w     responseState   // of the running call
	r     requestState    // the same
	calls []call          // for the next calls
	head  part            // buffers of w
	turn  []*loopExchange // started or completed in this turn, for EndTurn
	on    bool            // EndTurn is called
	idle  int             // turns without exchanges since the last one with some
	bytes []byte          // their responses, in the same order
	free  *loopExchange   // for reuse, linked by next
	frees int

	// A turn that has turnBytes of responses is full: handlers of further exchanges are called in the next one.
	most    int       // body of an exchange that Start serves at once: bodyMax, or -1 while a turn is full or others wait
	waiting []waiting // in the order of their requests
}

// waiting is an exchange that waits for a turn with room, and the handler that it is for.
type waiting struct {
	e *loopExchange
	h Handler
}

const (
	// turnBytesKept is how many bytes of response buffer a loop keeps from turn to turn.
	turnBytesKept = 1 << 20
	// turnMax is how many exchanges are completed before the loop handles other events.
	turnMax = 4096
	// idleTurns is after how many turns without an exchange EndTurn is not called any more. So a loop does not keep for ever a backend
	// that serves nothing any more: nobody has to say that it is one.
	idleTurns = 1000
	// exchangesKept is how many exchanges are kept for reuse, roomKept how many of these keep their body buffers.
	exchangesKept = 4096
	roomKept      = 64
	// turnBytes is how many bytes of responses make a turn full. Nothing is sent before its end: one for all the exchanges that are ready would
	// take long, and its responses much memory.
	turnBytes = 4 << 20
	// turnOverlapFree is up to how many bytes nobody counts.
	turnOverlapFree = 64 << 10
)

// Start takes an exchange. If the request is complete, the handler runs at once, on the views. The result waits for the
// end of the turn, since x must not be called before Start has returned.
func (l *onLoopBackend) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	e := l.getExchange(x)
	e.listener = listener
	switch {
	case head.ContentLength > int64(l.most) || len(body) > l.most:
		if l.startLater(e, head, body, more) {
			return e, nil
		}
	case more:
		e.awaitBody(head, body)
	default:
		l.serve(e, head, body, l.h)
	}
	l.queue(e)
	return e, nil
}

// startLater is Start for a body that is too large, and while a turn is full. true: the exchange waits for another turn.
func (l *onLoopBackend) startLater(e *loopExchange, head *httpparse.Head, body []byte, more bool) (waits bool) {
	switch {
	case head.ContentLength > int64(l.bodyMax) || len(body) > l.bodyMax:
		e.refuse(413, causeBodyLarge, head)
	case more:
		e.awaitBody(head, body)
	default:
		e.keepRequest(head, body)
		l.wait(e, l.h)
		return true
	}
	return false
}

// wait makes h serve e in a turn with room.
func (l *onLoopBackend) wait(e *loopExchange, h Handler) {
	e.state = loopWaiting
	l.waiting = append(l.waiting, waiting{e, h})
}

// serveOrWait serves an exchange that has its own copy of the request, in this turn or in one with room.
func (l *onLoopBackend) serveOrWait(e *loopExchange, h Handler) {
	if l.most < 0 {
		l.wait(e, h)
		return
	}
	l.serve(e, &e.head, e.body, h)
	l.queue(e)
}

// serveWaiting serves those that wait, until the turn is full.
func (l *onLoopBackend) serveWaiting() {
	l.most = l.bodyMax
	n := 0
	for n < len(l.waiting) && l.most >= 0 {
		e, h := l.waiting[n].e, l.waiting[n].h
		n++
		if e.state == loopWaiting {
			l.serve(e, &e.head, e.body, h)
			l.queue(e)
		} else { // cancelled
			e.state = loopOver
			e.over()
		}
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	if len(l.turn) == 0 {
		l.endFull() // EndTurn would not
	}
}

// endFull ends a turn that may have been full.
func (l *onLoopBackend) endFull() {
	if len(l.waiting) > 0 {
		l.loop.Post(l.serveWaiting)
		return // they will need the buffer
	}
	l.most = l.bodyMax
	l.bytes, l.waiting = nil, nil
}

// Overlap implements backend.Overlapping. Handlers run while the events of a turn are handled, and nothing is sent before its end. If
// clients send many requests at once, for large responses, the others would wait for all of them. So a connection may have as many as would be
// within turnBytes, if they are as large as those that the turn has had; the rest comes in later turns.
func (l *onLoopBackend) Overlap() int {
	n := len(l.bytes)
	if n <= turnOverlapFree {
		return math.MaxInt
	}
	return 1 + int(int64(max(0, turnBytes-n))*int64(len(l.turn))/int64(n))
}

// queue makes EndTurn settle e.
func (l *onLoopBackend) queue(e *loopExchange) {
	if !e.queued {
		e.queued = true
		l.turn = append(l.turn, e)
	}
	if !l.on {
		l.on = true
		l.loop.OnTurn(l)
		l.loop.Post(func() {}) // at the end of a turn, this one may not call EndTurn any more
	}
}

// serve runs the handler h and leaves its response in l.bytes: the body, then the head.
func (l *onLoopBackend) serve(e *loopExchange, head *httpparse.Head, body []byte, h Handler) {
	base := len(l.bytes)
	l.head.prefix, l.head.data = l.head.prefix[:0], l.bytes
	l.w.reset(head, &l.head, base, min(l.responseMax, max(0, turnBytes-base)), l) // see full
	l.r = requestState{head: head, listener: e.listener, x: e.x, body: body, trailer: e.trailer, e: e}
	end, failed := l.callHandler(l.nextCall(), h)
	l.r = requestState{}
	l.bytes = l.head.data
	if failed != 0 || end == backend.EndReset {
		l.bytes = l.bytes[:base]
		l.head.dropFiles()
		if failed == postponed {
			e.postpone()
			return
		}
		e.endLater()
		e.fail(failed)
		return
	}
	e.state = loopAnswer
	e.end = end
	e.at, e.bodyLen = base, len(l.bytes)-base
	l.bytes = append(l.bytes, l.head.prefix...)
	e.headLen = len(l.head.prefix)
	if len(l.head.files) > 0 {
		e.base, e.files, l.head.files = base, l.head.files, nil
	}
}

// call is what a handler gets. Each exchange has its own, which is the reason why a handler that keeps it, in a goroutine for
// example, cannot reach the exchanges that follow. What it refers to belongs to the loop, so a call is small.
type call struct {
	w Response
	r Request
}

// callsAtOnce is how many calls are allocated together: 4 KiB.
const callsAtOnce = 256

func (l *onLoopBackend) nextCall() *call {
	if len(l.calls) == 0 {
		l.calls = make([]call, callsAtOnce)
	}
	c := &l.calls[0]
	l.calls = l.calls[1:]
	c.w.responseState, c.r.requestState = &l.w, &l.r
	return c
}

// callHandler calls the handler. failed is the status if there is no response, or postponed. With backend.EndReset there is none
// either.
func (l *onLoopBackend) callHandler(c *call, h Handler) (end backend.End, failed int) {
	defer func() { *c = l.past }() // it is useless for a handler that still has it
	defer l.recoverPanic(c, &end, &failed)
	h.Serve(&c.w, &c.r)
	if !c.w.finish() {
		if l.r.e.later != nil {
			return 0, postponed
		}
		l.failures.handler(l.loop.Index(), &c.r, c.w.cause(), false)
		return 0, 500
	}
	return c.w.end, 0
}

// recoverPanic is deferred by callHandler.
func (l *onLoopBackend) recoverPanic(c *call, end *backend.End, failed *int) {
	cause := recover()
	switch {
	case cause == nil:
	case isAbort(cause):
		*end = backend.EndReset
	default:
		*failed = 500
		l.failures.handler(l.loop.Index(), &c.r, cause, true)
	}
}

// BeginTurn does nothing.
func (l *onLoopBackend) BeginTurn() {}

// EndTurn passes on the responses of the turn. Exchanges that start meanwhile are completed too, which favours batches,
// up to turnMax.
func (l *onLoopBackend) EndTurn() (again bool) {
	if len(l.turn) == 0 {
		if l.idle++; l.idle == idleTurns {
			l.idle, l.on = 0, false
			l.loop.OffTurn(l)
		}
		return false
	}
	l.idle = 0
	for i := 0; i < len(l.turn); i++ {
		if i == turnMax {
			l.keepFrom(i)
			return true
		}
		e := l.turn[i]
		l.turn[i] = nil
		e.settle()
	}
	l.turn = l.turn[:0]
	l.bytes = l.bytes[:0]
	if cap(l.bytes) > turnBytesKept {
		l.endFull()
	}
	return false
}

// keepFrom keeps the exchanges from index i for the next turn, and moves their responses to the front.
func (l *onLoopBackend) keepFrom(i int) {
	l.turn = slices.Delete(l.turn, 0, i)
	shift := len(l.bytes)
	for _, e := range l.turn {
		if e.state == loopAnswer {
			shift = min(shift, e.at)
		}
	}
	for _, e := range l.turn {
		e.at -= shift
	}
	l.bytes = l.bytes[:copy(l.bytes, l.bytes[shift:])]
}

// getExchange returns an exchange for x.
func (l *onLoopBackend) getExchange(x backend.Exchange) *loopExchange {
	e := l.free
	if e == nil {
		return &loopExchange{l: l, x: x}
	}
	l.free = e.next
	l.frees--
	e.x, e.next = x, nil
	return e
}

// putExchange keeps e for reuse. Nothing else may refer to e.
func (l *onLoopBackend) putExchange(e *loopExchange) {
	dropFiles(e.files)
	raw, fields, body, rest := e.head.Raw, e.head.Fields, e.body, e.rest
	if l.check {
		backend.Overwrite(raw)
		backend.Overwrite(body)
		backend.Overwrite(e.trailer)
	}
	*e = loopExchange{l: l}
	if l.frees >= exchangesKept {
		return
	}
	if l.frees < roomKept {
		e.head.Raw, e.head.Fields = raw[:0], fields[:0]
		e.body = body[:0]
		if cap(rest) <= l.bodyMax {
			e.rest = rest[:0]
		}
	}
	e.next = l.free
	l.free = e
	l.frees++
}

// The following methods implement output.
func (l *onLoopBackend) date() []byte { return l.dates.At(l.loop.Now()) }

func (l *onLoopBackend) unread() bool { return false }

// full is called when a response reaches its limit, or makes the turn full.
func (l *onLoopBackend) full(w *Response) error {
	if w.dataMax < l.responseMax {
		w.dataMax = l.responseMax
		l.most = -1
		return nil
	}
	w.fault = causeTooLarge
	return ErrResponseTooLarge
}

func (l *onLoopBackend) flush(*Response) error { return nil }

func (l *onLoopBackend) passPrefix(*Response) error { return nil }

func (l *onLoopBackend) sendsFiles(rangeable bool) bool {
	return backend.TakesFiles(l.r.x, rangeable)
}
