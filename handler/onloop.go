package handler

import (
	"log/slog"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// OnLoop is a Backend that calls h on the loop. By this h declares that it does not block: while it runs, every other
// connection of the loop waits. In return nothing is allocated, copied or handed over between threads.
//
// The handler is called when the whole request body is there. Its response goes out at the end of the turn, together with
// all others of the turn.
func OnLoop(h Handler) backend.Backend { return Config{}.OnLoop(h) }

// OnLoop is like the function of this name, with the limits of c.
func (c Config) OnLoop(h Handler) backend.Backend { return &onLoop{h: h, config: c} }

type onLoop struct {
	h      Handler
	config Config
}

// Attach makes the part for one loop.
func (b *onLoop) Attach(l backend.Loop) (backend.LoopBackend, error) {
	part := &loopPart{
		h:           b.h,
		loop:        l,
		log:         b.config.logger(),
		bodyMax:     b.config.bodyMax(),
		responseMax: b.config.responseMax(),
	}
	l.OnTurn(part)
	return part, nil
}

// loopPart is an OnLoop on one loop. It is both its LoopBackend and its Turn.
type loopPart struct {
	// Immutable.
	h           Handler
	loop        backend.Loop
	log         *slog.Logger
	bodyMax     int
	responseMax int

	// Owned by the loop.
	dates httpwrite.Date
	w     Response        // of the call that runs now
	r     Request         // the same
	head  part            // room for the prefix of w
	turn  []*loopExchange // started or completed in this turn: EndTurn has to look at them
	bytes []byte          // their responses, in the same order
	free  *loopExchange   // for use again, linked by next
	frees int
}

const (
	// turnBytesKept is how much room for responses a loop keeps from turn to turn.
	turnBytesKept = 1 << 20
	// turnMax is how many exchanges are completed before other events of the loop have a turn.
	turnMax = 4096
	// exchangesKept is how many exchanges are kept for use again, roomKept how many of them with their room for bodies.
	exchangesKept = 4096
	roomKept      = 64
)

// Start takes an exchange. Without a body to wait for, the handler runs at once, on the views. The result waits for the
// end of the turn, since x may not be called before Start has returned.
func (l *loopPart) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	e := l.take(x)
	e.listener = listener
	switch {
	case head.ContentLength > int64(l.bodyMax) || len(body) > l.bodyMax:
		e.fail(413)
	case more:
		copyHead(&e.head, head)
		e.body = append(e.body[:0], body...)
		e.state = loopBody
	default:
		l.serve(e, head, body)
	}
	l.queue(e)
	return e, nil
}

// queue has EndTurn look at e.
func (l *loopPart) queue(e *loopExchange) {
	if !e.queued {
		e.queued = true
		l.turn = append(l.turn, e)
	}
}

// serve runs the handler and leaves its response, head behind body, in l.bytes.
func (l *loopPart) serve(e *loopExchange, head *httpparse.Head, body []byte) {
	base := len(l.bytes)
	l.head.prefix, l.head.data = l.head.prefix[:0], l.bytes
	l.w.reset(head, &l.head, base, l.responseMax, l)
	l.r = Request{head: head, listener: e.listener, x: e.x, body: body}
	ok := l.call()
	l.r = Request{}
	l.bytes = l.head.data
	if !ok {
		l.bytes = l.bytes[:base]
		e.fail(500)
		return
	}
	e.state = loopAnswer
	e.end = l.w.end
	e.at, e.bodyLen = base, len(l.bytes)-base
	l.bytes = append(l.bytes, l.head.prefix...)
	e.headLen = len(l.head.prefix)
}

// call calls the handler. It returns false if there is no response.
func (l *loopPart) call() (ok bool) {
	defer l.caught(&ok)
	l.h.Serve(&l.w, &l.r)
	if !l.w.finish() {
		logFailure(l.log, l.loop.Index(), &l.r, l.w.cause(), false)
		return false
	}
	return true
}

// caught is deferred by call.
func (l *loopPart) caught(ok *bool) {
	cause := recover()
	if cause == nil {
		return
	}
	*ok = false
	l.w.ended = true
	if !isAbort(cause) {
		logFailure(l.log, l.loop.Index(), &l.r, cause, true)
	}
}

// BeginTurn does nothing.
func (l *loopPart) BeginTurn() {}

// EndTurn passes on what was done in the turn. It goes on as long as that leads to further exchanges, which is good for
// batches, up to a bound.
func (l *loopPart) EndTurn() (again bool) {
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
		l.bytes = nil
	}
	return false
}

// keepFrom keeps the exchanges from i on for the next turn, and moves their responses to the front.
func (l *loopPart) keepFrom(i int) {
	n := copy(l.turn, l.turn[i:])
	clear(l.turn[n:])
	l.turn = l.turn[:n]
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

// take is an exchange for x.
func (l *loopPart) take(x backend.Exchange) *loopExchange {
	e := l.free
	if e == nil {
		return &loopExchange{l: l, x: x}
	}
	l.free = e.next
	l.frees--
	e.x, e.next = x, nil
	return e
}

// give takes e back, of which nobody else knows any more.
func (l *loopPart) give(e *loopExchange) {
	raw, fields, body, rest := e.head.Raw, e.head.Fields, e.body, e.rest
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

// date, unread, full, flush and pass are what a Response needs to know of the loop: output.
func (l *loopPart) date() []byte { return l.dates.At(l.loop.Now()) }

func (l *loopPart) unread() bool { return false }

func (l *loopPart) full(w *Response) error {
	w.broken = true
	return ErrResponseTooLarge
}

func (l *loopPart) flush(*Response) error { return nil }

func (l *loopPart) pass(*Response) error { return nil }
