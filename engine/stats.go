package engine

import (
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
	Requests uint64 // so far, whose heads were complete
	Buffers  int    // that connections hold for unread or unsent bytes
	Pipes    int    // that have bytes of spliced connections

	// BytesRead and BytesWritten are what was read from sockets and written to them so far: heads and bodies of HTTP, frames, bytes of
	// Protocols and of connections to other servers, with TLS as they were encrypted. Connections that were handed over (Detach,
	// hijacked, ServeSockets) count until then.
	BytesRead, BytesWritten uint64

	Handshakes uint64 // TLS handshakes that were completed so far

	LongestTurn time.Duration // so far; 0 without Options.Stalled or Options.MeasureTurns
	Turns       reactor.Turns // likewise
}

// Stats returns the figures of all loops, which are asked one after the other. It is nil on a loop, and after Shutdown.
func (e *Engine) Stats() []LoopStats {
	stats := make([]LoopStats, len(e.loops))
	err := e.onEveryLoop(func(l *loop) error {
		stats[l.index] = l.stats()
		return nil
	})
	if err != nil {
		return nil
	}
	return stats
}

func (l *loop) stats() LoopStats {
	s := LoopStats{Loop: l.index, BytesRead: l.traffic.read, BytesWritten: l.traffic.written, Limited: l.limited, Buffers: l.pool.InUse(), Pipes: l.raw.pipes.used, Dials: len(l.raw.dials)}
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
	s.Handshakes += l.secured
	for c := range l.conns.All() {
		if c.state == stateIdle {
			s.Idle++
		}
	}
}

// addH2 adds the connections with HTTP/2, which are raw ones with streams.
func (s *LoopStats) addH2(m *h2Loop) {
	s.Conns += m.conns.Len()
	s.Raw += m.twin.raw.conns.Len() - m.conns.Len()
	s.Requests += m.twin.requests
	s.Buffers += m.pool.InUse()
	for c := range m.conns.All() {
		if len(c.streams) == 0 {
			s.Idle++
		}
	}
}

// Refusals returns how often requests and connections were refused, by cause.
func (e *Engine) Refusals() map[logging.Event]uint64 { return e.tally.Totals() }
