package proxy

import (
	"slices"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
)

// phase is how far an exchange is.
type phase uint8

const (
	// phaseStart: it waits for a slot of a target, or for a connection. → head, over
	phaseStart phase = iota
	// phaseHead: the request was sent, though parts of the body may be missing. → start (again), body, over
	phaseHead
	// phaseBody: the head of the response was given to the client. → over
	phaseBody
	// phaseOver: nothing is called any more.
	phaseOver
)

// exchange is a request of a client and its response: the backend.Running of the proxy.
type exchange struct {
	l        *loop
	id       uint64 // of the use of this object, for what is called later
	x        backend.Exchange
	phase    phase
	request  Request
	listener int

	// What the client is and wants.
	method     httpparse.Method
	http10     bool
	persistent bool
	trailers   bool   // it takes trailer fields
	expect     bool   // it waits for 100 (Continue)
	upgrade    string // the protocol that it wants to change to, or ""

	// The request on its way to a target.
	out       []byte // the head, and the body as far as it is kept, as they are sent
	lineLen   int    // length of the request line
	hostAt    int    // where the field Host of the target is to be put; -1: Host is there
	headLen   int
	repeats   bool   // its method allows that it is sent twice
	kept      bool   // out has all of the body that has come
	chunked   bool   // the body is sent in chunks
	length    int64  // of a body that is not
	more      bool   // the body is not complete
	wantsBody bool   // BodyRoom had no room
	window    []byte // where the connection puts the body; nil: none was asked for
	trailer   []byte // section of the request

	// Where it goes.
	service    *service
	key        uint64
	server     *upstream.Server // that has the request, or had it last
	begun      bool             // server.End is due
	trial      bool             // it is the trial of the server
	link       *link
	cancelDial func()
	waiting    *waiting
	tried      []*upstream.Server
	connects   int  // connections that could not be established
	gavePlace  bool // an unused connection was given up for it
	retries    int  // that count for Retrying.Times
	sends      int  // how often a connection has got the request
	fresh      bool // only a new connection will do
	arrived    int64
	sentAt     int64

	// The response.
	reads    reader
	coding   coding
	end      backend.End
	keeps    bool   // the connection to the target stays open
	section  []byte // trailer section of the response
	rest     []byte // what the client has not taken; restAt is how much of that it has since
	restAt   int
	finished bool // rest is the end of the response
	blocked  bool // the client will call OutputRoom
	interims int  // bytes of interim responses

	nextFree *exchange
}

// begin takes an exchange over from the engine. body is how many bytes of the body have come.
func (e *exchange) begin(x backend.Exchange, h *httpparse.Head, listener int, body int, more bool) {
	e.x, e.phase, e.listener = x, phaseStart, listener
	e.request.e, e.request.head = e, h
	e.method = httpparse.MethodOf(h.Bytes(h.Method))
	e.http10, e.persistent, e.expect = h.Minor == 0, h.Persistent, h.ExpectContinue
	e.chunked, e.more = h.Chunked && more, more
	e.length = h.ContentLength
	if h.Chunked && !more {
		e.length = int64(body) // the engine has waited for all of it, and has decoded it
	}
	e.end = backend.EndClose
	if h.Persistent {
		e.end = backend.EndKeep
	}
	e.arrived = e.l.Now()
}

// route decides where the request goes, and makes the head that is sent.
func (e *exchange) route(h *httpparse.Head) error {
	if e.method == httpparse.MethodConnect {
		return ErrMethod
	}
	c, q := e.l.config, &e.request
	set, err := e.choose()
	switch {
	case err != nil:
		return err
	case q.refuse != 0:
		return errRefusedByTo
	case set == nil:
		return ErrNoService
	}
	e.service = e.l.service(set)
	if err := e.chooseKey(h); err != nil {
		return err
	}
	e.repeats = slices.Contains(c.Retry.Methods, string(h.Bytes(h.Method)))
	e.kept = true
	return e.buildHead(h)
}

// later calls fn in the next turn, unless the exchange is over by then.
func (e *exchange) later(fn func()) {
	id := e.id
	e.l.Post(func() {
		if e.id == id && e.phase != phaseOver {
			fn()
		}
	})
}

// PeerEnd implements backend.Running: the client has gone, or has finished sending. While it has got nothing the first is taken
// for granted, as other servers do.
func (e *exchange) PeerEnd() {
	if e.phase == phaseStart || e.phase == phaseHead {
		e.drop()
		e.finish(func(x backend.Exchange) { x.Failed(backend.StatusClientGone, 0) })
	}
}

// Cancel implements backend.Running: the client's connection is gone.
func (e *exchange) Cancel() {
	if e.phase != phaseOver {
		e.drop()
		e.finish(nil)
	}
}

// drop leaves the target, for reasons of the client.
func (e *exchange) drop() {
	if e.waiting != nil {
		e.waiting.leave()
	}
	if e.cancelDial != nil {
		e.cancelDial()
		e.cancelDial, e.link = nil, nil
	}
	if k := e.link; k != nil {
		e.link = nil
		k.abandonBy(e)
	}
	e.ended(upstream.Unknown)
}

// ended tells the server that its request is over.
func (e *exchange) ended(how upstream.Outcome) {
	if e.begun {
		if how == upstream.Unknown && !e.trial {
			how = upstream.NoTrial
		}
		e.begun = false
		e.server.End(e.l.Now(), how)
	}
}

// begins: the server has got the request.
func (e *exchange) begins(v *upstream.Server) {
	e.server, e.begun, e.trial = v, true, e.service.picker.Trial()
}

// works tells the server that it has answered. That is the end of a trial.
func (e *exchange) works() {
	e.trial = false
	e.server.Works(e.l.Now())
}

// finish ends the exchange: tell is the last call that the connection gets.
func (e *exchange) finish(tell func(backend.Exchange)) {
	e.phase = phaseOver
	e.l.putWindow(e.window)
	e.window = nil
	if tell != nil {
		tell(e.x)
	}
	e.l.put(e)
}

// Upstream implements backend.Forwarded.
func (e *exchange) Upstream() (address string, sent int) {
	if e.server == nil {
		return "", 0
	}
	return e.server.Addr(), e.sends
}

// Times implements backend.Timed: how long the request has waited until it was sent, and what came after that.
func (e *exchange) Times() (queue, service time.Duration) {
	now := e.l.Now()
	if e.sentAt == 0 {
		return time.Duration(now - e.arrived), 0
	}
	return time.Duration(e.sentAt - e.arrived), time.Duration(now - e.sentAt)
}
