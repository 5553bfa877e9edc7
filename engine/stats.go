package engine

import (
	"crypto/tls"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/reactor"
)

// LoopStats are the figures of one loop.
type LoopStats struct {
	Loop     int
	Conns    int    // HTTP connections
	Idle     int    // of Conns: without a request in progress
	Raw      int    // connections of Protocols, accepted, dialed and upgraded
	Dials    int    // connections that are being established
	Accepted uint64 // connections so far, of Serve, ServeProtocol and ServeSockets
	Limited  uint64 // connections so far that the limit of their listener has refused: see Listener.SetConnLimit
	// Penalized are connections so far that were refused because of the floods of their clients: see Limits.NoFloodPenalty.
	Penalized uint64

	Requests uint64 // so far, whose heads were complete
	Buffers  int    // that connections hold for unread or unsent bytes
	Pipes    int    // that have bytes of spliced connections
	Posts    int    // functions that were posted (backend.Loop.Post) and had not been called yet when Stats was

	// BytesRead and BytesWritten are what was read from sockets and written to them so far: heads and bodies of HTTP, frames, bytes of
	// Protocols and of connections to other servers, with TLS as they were encrypted. Connections that were handed over (Detach,
	// hijacked, ServeSockets) count until then.
	BytesRead, BytesWritten uint64

	Handshakes   uint64         // TLS handshakes that were completed so far
	TLS12, TLS13 HandshakeStats // them, by their version: 1.3, and 1.2 and older ones

	HTTP2 HTTP2Stats

	LongestTurn time.Duration // so far; 0 without Options.Stalled or Options.MeasureTurns
	Turns       reactor.Turns // likewise
}

// HandshakeStats are how many TLS handshakes were completed so far.
type HandshakeStats struct {
	Full    uint64
	Resumed uint64 // of a session that the client knew
}

// HTTP2Stats are the figures of connections with HTTP/2, which are HTTP connections in LoopStats.
type HTTP2Stats struct {
	Conns    int    // open ones
	Streams  int    // open ones, with those that have become tunnels
	Accepted uint64 // connections so far that have begun with HTTP/2
	Requests uint64 // so far, whose heads were complete

	ResetsReceived, ResetsSent uint64 // RST_STREAM frames so far
}

// Stats returns the figures of all loops, which are asked one after the other. It is nil on a loop, and after Shutdown.
func (e *Engine) Stats() []LoopStats {
	stats := make([]LoopStats, len(e.loops))
	posts := make([]int, len(e.loops)) // those that wait when a loop answers have come after the question, which is a post too
	for i, l := range e.loops {
		posts[i] = l.r.Posted()
	}
	err := e.onEveryLoop(func(l *loop) error {
		stats[l.index] = l.stats()
		stats[l.index].Posts = posts[l.index]
		return nil
	})
	if err != nil {
		return nil
	}
	return stats
}

func (l *loop) stats() LoopStats {
	s := LoopStats{Loop: l.index, BytesRead: l.traffic.read, BytesWritten: l.traffic.written, Limited: l.limited, Penalized: l.penalized, Buffers: l.pool.InUse(), Pipes: l.raw.pipes.used, Dials: len(l.raw.dials)}
	s.add(l)
	if l.tls != nil {
		s.add(l.tls.twin)
	}
	if w := l.e.watcher.of(l.index); w != nil {
		s.LongestTurn, s.Turns = w.Longest(), w.Turns()
	}
	return s
}

// add adds the connections of l, or of its part for TLS.
func (s *LoopStats) add(l *loop) {
	s.Conns += l.conns.Len()
	s.Raw += l.raw.conns.Len()
	if l.h2 != nil {
		s.addH2(l.h2)
	}
	s.Accepted += l.accepted
	s.Requests += l.requests
	s.TLS12.add(l.secured12)
	s.TLS13.add(l.secured13)
	s.Handshakes += l.secured12.sum() + l.secured13.sum()
	for c := range l.conns.All() {
		if c.state == stateIdle {
			s.Idle++
		}
	}
}

func (s *HandshakeStats) add(o HandshakeStats) {
	s.Full += o.Full
	s.Resumed += o.Resumed
}

func (s HandshakeStats) sum() uint64 { return s.Full + s.Resumed }

// countSecured counts a handshake that was completed.
func (l *loop) countSecured(version uint16, resumed bool) {
	by := &l.secured12
	if version >= tls.VersionTLS13 {
		by = &l.secured13
	}
	if resumed {
		by.Resumed++
	} else {
		by.Full++
	}
}

// addH2 adds the connections with HTTP/2, which are raw ones with streams.
func (s *LoopStats) addH2(m *h2Loop) {
	s.Conns += m.conns.Len()
	s.Raw += m.twin.raw.conns.Len() - m.conns.Len()
	s.Requests += m.twin.requests
	s.Buffers += m.pool.InUse()
	h := &s.HTTP2
	h.Conns += m.conns.Len()
	h.Accepted += m.opened
	h.Requests += m.twin.requests
	h.ResetsReceived += m.resetsReceived
	h.ResetsSent += m.resetsSent
	for c := range m.conns.All() {
		h.Streams += len(c.streams)
		if len(c.streams) == 0 {
			s.Idle++
		}
	}
}

// HandshakeFailures returns how often TLS handshakes have failed, by cause, with those that have not occurred. They are in Refusals, too.
func (e *Engine) HandshakeFailures() map[string]uint64 {
	return e.causesOf(handshakesFailed, handshakeCauses)
}

// HTTP2Ends returns how often connections with HTTP/2 were ended because of what their clients had done, by cause, with those
// that have not occurred. They are in Refusals, too.
func (e *Engine) HTTP2Ends() map[string]uint64 { return e.causesOf(h2ConnsEnded, h2Causes) }

func (e *Engine) causesOf(message string, known []string) map[string]uint64 {
	by := make(map[string]uint64)
	for _, cause := range known {
		by[cause] = 0
	}
	for event, n := range e.tally.Totals() {
		if event.Message == message {
			by[event.Cause] += n
		}
	}
	return by
}

// Refusals returns how often requests and connections were refused, by cause.
func (e *Engine) Refusals() map[logging.Event]uint64 { return e.tally.Totals() }
