package websocket

import "sync/atomic"

// Cause is why a connection has ended.
type Cause uint8

// The causes.
const (
	ByClient        Cause = iota // the peer's close frame came first
	ByScript                     // Close was called, with a code that has no other meaning here
	BecauseLost                  // it ended without a close frame
	BecauseSilent                // the peer did not answer a ping, or took nothing
	BecauseProtocol              // the peer has broken the protocol (1002, 1007)
	BecauseLarge                 // a message was too large (1009)
	BecauseSlow                  // the peer took too little, or there was no memory (1013)
	BecauseFailed                // the application has failed (1011)
	BecauseDrained               // the server stops or is replaced (1001, 1012)
	causes
)

// Causes are the names of all causes, in their order.
var Causes = [causes]string{"client", "application", "lost", "silent", "protocol", "too_large", "slow", "failed", "drained"}

// causeOf is the cause of a close frame of this side.
func causeOf(code int) Cause {
	switch code {
	case CodeGoingAway, CodeRestart:
		return BecauseDrained
	case CodeProtocolError, CodeInvalidPayload:
		return BecauseProtocol
	case CodeTooLarge:
		return BecauseLarge
	case CodeTryLater:
		return BecauseSlow
	case CodeInternal:
		return BecauseFailed
	}
	return ByScript
}

// Stats are what the connections of an Endpoint have done. Accepted is the sum of Open and Closed.
type Stats struct {
	Accepted, Open uint64
	In, Out        uint64         // messages, without those that were not passed on or not taken from the Handler
	Closed         [causes]uint64 // by Cause
}

// counters are those of one loop, which alone changes them. A line of the cache separates them from others.
type counters struct {
	accepted, in, out atomic.Uint64
	closed            [causes]atomic.Uint64
	_                 [64]byte
}

// Stats returns what is counted.
func (e *Endpoint) Stats() (s Stats) {
	e.loops.Range(func(_, l any) bool {
		n := &l.(*perLoop).counters
		for i := range n.closed { // before accepted, so that no connection seems to be closed and not accepted
			s.Closed[i] += n.closed[i].Load()
		}
		s.In += n.in.Load()
		s.Out += n.out.Load()
		s.Accepted += n.accepted.Load()
		return true
	})
	s.Open = s.Accepted
	for _, n := range s.Closed {
		s.Open -= n
	}
	return s
}

// Add adds other figures.
func (s *Stats) Add(o Stats) {
	s.Accepted += o.Accepted
	s.Open += o.Open
	s.In += o.In
	s.Out += o.Out
	for i, n := range o.Closed {
		s.Closed[i] += n
	}
}

// countFrames is how many frames of AppendFrame there are.
func countFrames(b []byte) (n uint64) {
	for len(b) > 0 {
		h, size, _ := parseHeader(b)
		if size == 0 || h.length > uint64(len(b)-size) {
			return n
		}
		b = b[size+int(h.length):]
		n++
	}
	return n
}
