package tcpproxy

import (
	"errors"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
)

// place is the place of a session in the queue of its service, while every target has as many sessions as it has Slots.
type place struct {
	s      *session
	ticket *upstream.Ticket
	timer  backend.Timer
	over   bool
}

// wait puts the session into the queue.
func (s *session) wait() {
	w := &place{s: s}
	ticket, ok := s.l.picker(s.set).Wait(w.call)
	if !ok {
		s.refuse(ErrBusy)
		return
	}
	w.ticket = ticket
	w.timer = s.l.After(s.set.Options().QueueTime, w.expired)
	s.waiting = w
}

// call is called on any goroutine when a slot may be free.
func (w *place) call() { w.s.l.Post(w.called) }

func (w *place) called() {
	if !w.over {
		w.pick()
	}
}

// pick looks for a target once more. false: the session goes on waiting.
func (w *place) pick() bool {
	s := w.s
	v, err := s.l.picker(s.set).PickFor(w.ticket, s.l.Now(), s.key(), s.tried)
	switch {
	case err == nil:
		w.end()
		s.connect(v)
	case errors.Is(err, upstream.ErrBusy):
		return false
	default:
		w.end()
		s.refuse(ErrNoTarget)
	}
	return true
}

func (w *place) end() {
	w.over = true
	w.timer.Stop()
	w.s.waiting = nil
}

// expired: the session has waited for too long. Nobody is told when the time of a target is over that was left out, so there is a last look.
func (w *place) expired() {
	if !w.over && !w.pick() {
		s := w.s
		s.leaveQueue()
		s.refuse(ErrBusy)
	}
}

// leaveQueue gives up the place in the queue.
func (s *session) leaveQueue() {
	if w := s.waiting; w != nil {
		w.end()
		w.ticket.Leave()
	}
}
