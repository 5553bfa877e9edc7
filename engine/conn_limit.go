package engine

import (
	"net/netip"
	"time"
)

// ConnLimit decides which new connections of a listener are served: see Listener.SetConnLimit. It is called on the loops, and calls on
// different loops overlap. Times are those of the clock of the loops, in nanoseconds. client is not valid for a Unix socket.
type ConnLimit interface {
	// Admit counts a new connection of a client. false: it is not served.
	Admit(client netip.Addr, now int64) bool
	// Abused is called when a connection was ended because its client has broken the rules of HTTP/2, or has used up what it may cost.
	Abused(client netip.Addr, now int64)
}

// SetConnLimit limits the new connections of ln. Those that limit does not admit are reset before anything is read: a handshake costs
// nothing then, and no state of the connection stays in the system, as it would after an ordinary close. With SetPreface the client is
// that of the preface; a connection whose preface names none, as those of a proxy that only checks, is not limited. nil, as at first: no
// limit. It has an effect on connections that are accepted after the next Serve, ServeSockets or ServeProtocol.
func (ln *Listener) SetConnLimit(limit ConnLimit) { ln.connLimit.Store(&limit) }

// limitOf is the limit that was set, or nil.
func (ln *Listener) limitOf() ConnLimit {
	if limit := ln.connLimit.Load(); limit != nil {
		return *limit
	}
	return nil
}

// admitted reports whether a new connection of b may be served. Otherwise it was reset.
func (l *loop) admitted(b *binding, fd int, client netip.AddrPort) bool {
	var cause string
	switch {
	case l.punished(b, client.Addr()):
		l.penalized++
		cause = causePenalty
	case b.limit != nil && !b.limit.Admit(client.Addr(), l.now()):
		l.limited++
		cause = causeConnLimit
	case b.open != nil && !l.enters(b, fd, client.Addr()):
		l.limited++
		cause = causeOpenLimit
	default:
		return true
	}
	l.countConnection(connectionsRefused, cause, client)
	resetNow(fd)
	return false
}

// abused tells the limit of the listener about the peer of a connection.
func (l *loop) abused(s *service, peer netip.AddrPort) {
	if limit := s.latest().limit; limit != nil {
		limit.Abused(peer.Addr(), l.now())
	}
}

// now is the time on the clock of the loops.
func (l *loop) now() int64 { return int64(l.sys.nowMS()) * int64(time.Millisecond) }
