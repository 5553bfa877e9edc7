package websocket

import (
	"errors"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Request is the request of an opening handshake. It is valid until Server.Accept returns.
type Request struct {
	*httpparse.Head
	Listener      int
	Local, Remote netip.AddrPort // not valid on a Unix socket
	TLS           *backend.TLSState
}

// Field is the value of the first field with this name, or nil.
func (r *Request) Field(name string) []byte {
	if i := r.Find(name, 0); i >= 0 {
		return r.Value(r.Fields[i])
	}
	return nil
}

// Server is a Backend that makes WebSocket connections of all its requests.
type Server struct {
	*Endpoint
	// Accept decides on the loop about a request that is a valid opening handshake. It returns the Handler of the connection and its
	// Conn.Value, or a status from 400 to 599 to refuse it with. Neither, or a panic, is 500, and a line in the log.
	Accept func(r *Request, a *Answer) (h Handler, value any, status int)
}

// Attach implements backend.Backend.
func (s *Server) Attach(l backend.Loop) (backend.LoopBackend, error) {
	if s.Endpoint == nil || s.Accept == nil {
		return nil, errors.New("websocket: a Server needs its Endpoint and Accept")
	}
	return &serverLoop{s, l}, nil
}

type serverLoop struct {
	*Server
	loop backend.Loop
}

// Start implements backend.LoopBackend.
func (l *serverLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	o := &opening{x: x, l: l}
	var refusal *Refusal
	o.handshake, refusal = Check(h)
	switch {
	case refusal != nil:
		o.refuse(refusal.Status, refusal.Fields)
	case more || len(body) > 0:
		o.refuse(400, "")
	default:
		r := &Request{Head: h, Listener: listener, TLS: backend.TLSOf(x)}
		r.Local, r.Remote = x.Addrs()
		if status := o.ask(r); status != 0 {
			o.refuse(status, "")
		}
	}
	l.loop.Post(o.run)
	return o, nil
}

// opening is an exchange between its request and its answer.
type opening struct {
	x         backend.Exchange
	l         *serverLoop
	handshake Handshake
	answer    Answer
	handler   Handler
	value     any
	response  []byte // that refuses the request; empty: it is accepted
	gone      bool
}

func (o *opening) refuse(status int, fields string) {
	head := httpwrite.Head{Status: status, Fields: []byte(fields), Close: true}
	if fields == upgradeFields { // it has a Connection field
		head.Close = false
	}
	o.response = head.Append(nil)
}

// run answers.
func (o *opening) run() {
	switch {
	case o.gone:
	case len(o.response) > 0:
		o.OutputRoom()
	default:
		if _, err := o.l.Endpoint.Accept(o.x, &o.handshake, o.answer, o.handler, o.value); err != nil {
			o.gone = true
			o.x.Failed(400, 0)
		}
	}
}

// OutputRoom sends what is left of the refusal.
func (o *opening) OutputRoom() {
	if o.gone {
		return
	}
	n := o.x.Output(o.response, nil, true)
	if o.response = o.response[n:]; len(o.response) == 0 {
		o.gone = true
		o.x.Done(backend.EndClose)
	}
}

// The other methods of a backend.Running. There is no body.

func (o *opening) BodyRoom() (a, b []byte) { return nil, nil }
func (o *opening) BodyCommit(int)          {}
func (o *opening) BodyEnd()                {}
func (o *opening) BodyAbort(bool)          {}
func (o *opening) PeerEnd()                {}
func (o *opening) Cancel()                 { o.gone = true }
