package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// endedLook is how often AwaitEnded looks. A loop goes through its connections each time, so it is not as often as at a shutdown.
const endedLook = 20 * time.Millisecond

// AwaitEnded waits until no request can come any more on connections that Serve, ServeSockets or Listener.Close has ended. These take
// up to a second, and what their handshakes and requests in progress take: until then requests on them reach the backend that served
// them. It returns nil, ctx's error, or ErrStopped.
func (e *Engine) AwaitEnded(ctx context.Context) error {
	tick := time.NewTicker(endedLook)
	defer tick.Stop()
	for {
		var left atomic.Bool
		err := e.onEveryLoop(func(l *loop) error {
			if l.hasEnded() {
				left.Store(true)
			}
			return nil
		})
		if err != nil || !left.Load() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// hasEnded reports whether a request may still come on a connection that was ended.
func (l *loop) hasEnded() bool {
	for c := range l.conns.All() {
		if c.service.latest().ended && c.mayAsk() {
			return true
		}
	}
	for p := range l.prefaced {
		if p.b.ended {
			return true
		}
	}
	if l.h2 != nil { // its streams have no sockets, and a conn that waits for a stream may have had one of any service
		for s := range l.h2.conns.All() {
			if s.service.latest().ended && s.mayAsk() {
				return true
			}
		}
	}
	return l.tls != nil && (l.tls.hasEnded() || l.tls.twin.hasEnded())
}

// mayAsk reports whether a request may still come on the connection, or is not complete.
func (c *conn) mayAsk() bool {
	switch c.state {
	case stateDispatched, stateWriting:
		return c.exchange.persistent
	}
	return c.state < stateLingering
}

// mayAsk reports whether a stream may still begin on the connection, or has one of which the backend has not got the request.
func (s *h2Conn) mayAsk() bool {
	return s.raw.state == rawOpen && (s.draining != drainDone || slices.ContainsFunc(s.streams, (*h2Stream).asks))
}

// asks reports whether the request of the stream is not complete, or waits for others.
func (st *h2Stream) asks() bool {
	if st.c == nil {
		return st.raw == nil
	}
	return st.c.state <= stateSpooling && !st.answered
}

// hasEnded reports whether a handshake is in progress, or may still begin, on a connection of a listener that is closed, or one that
// began when the listener checked clients in another way.
func (l *tlsLoop) hasEnded() bool {
	for h := range l.handshakes {
		if h.state == handshakeRunning && h.outdated() || h.state <= handshakeRunning && h.b != nil && h.b.ended {
			return true
		}
	}
	return false
}
