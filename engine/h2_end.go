package engine

import (
	"os"

	"moonbridge/handler/backend"
)

// The ends of a connection with HTTP/2, and when they come.

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
	s.drainMS = s.l.parent.sys.nowMS() + h2DrainMS
	s.putGoAway(h2LastStream, h2NoError)
	s.put(append(h2Frame{length: 8, kind: h2Ping}.append(nil), h2DrainPing...))
}

// leave is the second step: what is on its way now is not served.
func (s *h2Conn) leave() {
	s.draining, s.drainMS, s.leaving = drainDone, 0, true
	s.putGoAway(s.lastID, h2NoError)
}

// becomeIdle: no stream is open.
func (s *h2Conn) becomeIdle() {
	s.idleMS = after(s.l.parent.sys.nowMS(), s.service.latest().limits.idleMS)
	if s.l.parent.e.connState != nil && !s.failed {
		s.report(ConnIdle)
	}
}

// updateDeadline sets the time at which the connection acts although nothing has happened on it.
func (s *h2Conn) updateDeadline() {
	sys := &s.l.parent.sys
	if s.raw.Held() == 0 {
		s.heldMS = 0
	} else if s.heldMS == 0 {
		s.heldMS, s.acked = after(sys.nowMS(), s.service.limits.stallMS), s.ackedNow()
	}
	at := earlier(earlier(s.idleMS, s.heldMS), s.drainMS)
	s.deadline.set(sys, earlier(at, s.lookMS))
}

// ackedNow is how many bytes the peer has acknowledged so far.
func (s *h2Conn) ackedNow() int64 {
	return s.raw.written - int64(s.l.parent.sys.unacknowledged(s.raw.socket.fd))
}

// heldCheck has the backend asked again if streams wait for it: that it has more handlers now is told by nobody.
func (s *h2Conn) heldCheck() {
	s.lookMS = 0
	if s.waitingToBegin() > 0 {
		s.lookMS = s.l.parent.sys.nowMS() + h2LookMS
	}
}

// timedOut is what a connection does at its deadline.
func (s *h2Conn) timedOut(nowMS uint64) {
	if due(s.heldMS, nowMS) {
		acked := s.ackedNow()
		if acked <= s.acked {
			s.countEnded(causeH2Stalled)
			s.failed = true
			s.raw.abort(os.ErrDeadlineExceeded)
			s.raw.again()
			return
		}
		s.heldMS = 0
	}
	if due(s.drainMS, nowMS) {
		s.leave()
	}
	if due(s.idleMS, nowMS) {
		s.idleMS = 0
		if s.draining == drainDone || !s.settled {
			s.leave()
			return
		}
		s.drain()
	}
}

func due(atMS, nowMS uint64) bool { return atMS != 0 && atMS <= nowMS }
