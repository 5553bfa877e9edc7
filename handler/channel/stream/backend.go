package stream

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/httpparse"
)

// Ask says how a request is answered. If q is nil, it is answered with status. Ask is called on loops, and must not block. What h says
// is valid during the call only; of q, it sets what is asked for, and NewBackend sets what h says of the request.
type Ask func(h *httpparse.Head) (q *Request, status int)

// NewBackend returns a backend that answers requests with the messages of a hub, for programs in Go.
func NewBackend(hub *channel.Hub, ask Ask) backend.Backend { return &answers{hub, ask} }

type answers struct {
	hub *channel.Hub
	ask Ask
}

// Attach implements backend.Backend.
func (a *answers) Attach(on backend.Loop) (backend.LoopBackend, error) {
	return &answersLoop{a, on, On(a.hub, on)}, nil
}

type answersLoop struct {
	*answers
	on   backend.Loop
	loop *Loop
}

// Start implements backend.LoopBackend.
func (l *answersLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	at := l.on.Now()
	q, status := l.ask(h)
	if q != nil {
		own := *q
		q = &own
		q.IsHead, q.HTTP10, q.Keepalive = h.IsHead, h.Minor == 0, h.Persistent
	}
	s := new(starting)
	l.on.Post(func() {
		switch {
		case s.over:
		case q == nil:
			x.Failed(status, 0)
		default:
			q.Service += time.Duration(l.on.Now() - at)
			l.loop.Begin(x, q)
		}
	})
	return s, nil
}

// starting is an exchange that Start has taken.
type starting struct {
	nothing
	over bool
}

// OutputRoom implements backend.Running.
func (s *starting) OutputRoom() {}

// PeerEnd implements backend.Running.
func (s *starting) PeerEnd() {}

// Cancel implements backend.Running.
func (s *starting) Cancel() { s.over = true }
