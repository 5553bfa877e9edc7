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
	if w.over {
		return
	}
	s := w.s
	v, err := s.l.picker(s.set).Pick(s.l.Now(), s.key(), s.tried)
	if errors.Is(err, upstream.ErrBusy) {
		w.ticket = s.l.picker(s.set).Again(w.call)
		return
	}
	w.end()
	if err != nil {
		s.refuse(ErrNoTarget)
		return
	}
	s.connect(v)
}

func (w *place) end() {
	w.over = true
	w.timer.Stop()
	w.s.waiting = nil
}

func (w *place) expired() {
	if !w.over {
		s := w.s
		s.leaveQueue()
		s.refuse(ErrBusy)
	}
}

// leaveQueue gives up the place in the queue. If it was offered a slot already, the next one gets the offer.
func (s *session) leaveQueue() {
	w := s.waiting
	if w == nil {
		return
	}
	w.end()
	if !w.ticket.Leave() {
		s.set.WakeOne()
	}
}
