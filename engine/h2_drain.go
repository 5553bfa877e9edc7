package engine

import "moonbridge/handler/backend"

// The end of a connection with HTTP/2, which takes two steps.

// drainState is how far the peer knows that the connection ends.
type drainState uint8

const (
	drainNot   drainState = iota
	drainAsked            // it was told to begin no more streams, and asked for an answer
	drainDone             // it has answered, or had the time for it
)

// h2DrainPing is what the peer is asked to answer with.
const h2DrainPing = "mb drain"

// Drain implements backend.Drainer.
func (s *h2Conn) Drain(backend.Conn) { s.drain() }

// ending reports whether the connection is to end.
func (s *h2Conn) ending() bool {
	return s.service.latest().ended || s.l.parent.e.stopping.Load()
}

// drain begins the end of the connection: streams that are on their way are still served (RFC 9113 §6.8).
func (s *h2Conn) drain() {
	if s.draining != drainNot || s.failed || s.raw.state != rawOpen {
		return
	}
	s.draining = drainAsked
	s.drainMS = s.l.parent.sys.nowMS() + s.l.drainMS
	s.putGoAway(h2LastStream, h2NoError)
	s.put(append(h2Frame{length: 8, kind: h2Ping}.append(nil), h2DrainPing...))
}

// leave is the second step: what is on its way now is not served.
func (s *h2Conn) leave() {
	s.draining, s.drainMS, s.leaving = drainDone, 0, true
	if s.block != nil && !s.block.trailer {
		s.block.late = true // the rest of its fields is on its way
	}
	s.putGoAway(s.lastID, h2NoError)
}

// becomeIdle: no stream is open.
func (s *h2Conn) becomeIdle() {
	s.idleMS = after(s.l.parent.sys.nowMS(), s.service.latest().limits.idleMS)
	if s.l.parent.e.connState != nil && !s.failed {
		s.report(ConnIdle)
	}
}
