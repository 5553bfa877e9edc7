package engine

import "os"

// The deadline of a connection with HTTP/2. Those of its streams are in conn_deadline.go, as in HTTP/1.1.

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
	return s.raw.written - s.l.parent.sys.unacknowledged(s.raw.socket.fd)
}

// heldCheck has the backend asked again if streams wait for it: nothing announces that it has more handlers now. Nor does anything announce that a
// handler begins to read a body of which nothing has come, because others have used up the window.
func (s *h2Conn) heldCheck() {
	s.lookMS = 0
	if s.waitingToBegin() > 0 || s.usedUp() {
		s.lookMS = s.l.parent.sys.nowMS() + s.l.lookMS
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
