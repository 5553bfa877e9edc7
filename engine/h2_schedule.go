package engine

import (
	"slices"

	"moonbridge/reactor"
)

// wait: the stream has more to send than it may now.
func (st *h2Stream) wait() {
	if !st.waiting {
		st.waiting = true
		s := st.s
		s.waiters = append(s.waiters, st)
		if s.peerGone || st.sendable() && !s.full() {
			s.again()
		}
	}
}

func (st *h2Stream) unwait() {
	if st.waiting {
		st.waiting = false
		s := st.s
		if i := slices.Index(s.waiters, st); i >= 0 {
			s.waiters = slices.Delete(s.waiters, i, i+1)
		}
	}
}

// full reports whether the connection takes no more output.
func (s *h2Conn) full() bool { return s.raw.Full() }

// mayOutput reports whether it is the stream's turn.
func (s *h2Conn) mayOutput(st *h2Stream) bool {
	if s.full() || s.turnOf == st {
		return !s.full()
	}
	for _, other := range s.waiters {
		if other != st && other.sendable() && other.before(st) {
			return false
		}
	}
	return true
}

// sendable reports whether a stream that waits could send, apart from the others. Only data needs a window.
func (st *h2Stream) sendable() bool {
	return st.sendWindow > 0 && st.s.sendWindow > 0 || st.phase == h2Head || st.phase == h2Over ||
		st.phase == h2Chunks && !st.chunks.InData()
}

// room is how many of n bytes of data the stream may send now. It is no more than may be held: n may be a whole page of the cache, and the peer
// may have given a window for all of it.
func (st *h2Stream) room(n int) int {
	s := st.s
	room := min(int64(n), st.sendWindow, s.sendWindow, h2HeldMax)
	if room <= 0 || !s.mayOutput(st) {
		return 0
	}
	if s.turnOf == st {
		room = min(room, s.share)
	}
	return int(room)
}

// giveUpWaiting ends the streams that wait for a window, since the peer has ended its side and cannot open it any more.
func (s *h2Conn) giveUpWaiting() {
	for _, st := range slices.Clone(s.waiters) {
		if !st.sendable() && !st.closed {
			s.putReset(st.id, h2InternalError)
			st.abandon()
		}
	}
}

// nextWaiter is the stream that is to send next, or nil.
func (s *h2Conn) nextWaiter() (first *h2Stream) {
	for _, st := range s.waiters {
		if st.sendable() && (first == nil || st.before(first)) {
			first = st
		}
	}
	return first
}

// sendWaiting lets streams go on that wait, as long as the connection takes something.
func (s *h2Conn) sendWaiting() {
	for range h2SendsPerTurn {
		st := s.nextWaiter()
		if st == nil || s.full() {
			return
		}
		st.unwait()
		s.turns++
		st.turn = s.turns
		if st.raw == nil {
			s.turnOfHTTP = s.turns
		}
		s.turnOf, s.share = st, h2WindowMax
		if len(s.waiters) > 0 && (st.order.incremental || s.tunnels > 0) {
			s.share = h2Share
		}
		st.ready(reactor.Writable)
		s.turnOf = nil
	}
	s.queue()
}
