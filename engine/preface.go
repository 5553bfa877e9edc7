package engine

import (
	"net/netip"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// Causes for which a connection is refused, besides those of backend.Preface.Parse.
const (
	causePrefaceCut     = "end of input in the preface"
	causePrefaceLong    = "preface too long"
	causePrefaceTimeout = "preface not received in time"
)

// SetPreface says what the connections of ln start with: it is taken off before anything else sees them, and its addresses count
// as theirs. nil, as at first: nothing. It has an effect on connections that are accepted after the next Serve, ServeSockets or ServeProtocol.
// It panics if a field of p is missing.
func (ln *Listener) SetPreface(p *backend.Preface) {
	if p != nil && (p.Parse == nil || p.Bytes <= 0 || p.Timeout <= 0) {
		panic("engine: SetPreface: Parse, Bytes and Timeout of a backend.Preface have to be set")
	}
	ln.preface.Store(p)
}

// prefaced is a connection whose preface is not complete. What has come of it stays in the socket, which is peeked at: then a raw
// connection can be handed over with all that follows. It belongs to its loop.
type prefaced struct {
	l       *loop
	b       *binding
	preface *backend.Preface
	fd      int
	peer    netip.AddrPort
	timer   timers.Timer

	started bool // a byte has come
	watched bool // by the loop
	over    bool
}

// admit takes over a new connection of a listener.
func (l *loop) admit(b *binding, fd int, peer netip.AddrPort) {
	if b.preface != nil {
		l.awaitPreface(b, fd, peer)
	} else if l.admitted(b, fd, peer) {
		l.begin(b, fd, peer, 0)
	}
}

// begin begins a connection that has no preface, or whose preface was read. known is the place of its local address in b.addrs.
func (l *loop) begin(b *binding, fd int, peer netip.AddrPort, known uint8) {
	switch {
	case b.tls != nil:
		l.acceptTLS(b, fd, peer, known)
	case b.http != nil:
		l.accept(b.http, fd, peer, known)
	case b.raw != nil:
		l.acceptRaw(b.raw, fd, peer, known)
	default:
		l.handOver(b.sockets, fd, peer)
	}
}

// beginNamed is begin for a connection whose addresses the system does not know.
func (l *loop) beginNamed(b *binding, fd int, local, remote netip.AddrPort) {
	if b.tls == nil && b.http == nil && b.raw == nil {
		l.handOverAs(b.sockets, fd, local, remote)
	} else {
		l.begin(b, fd, remote, b.addrs.name(fd, local))
	}
}

// awaitPreface takes over a connection that starts with a preface. Most often that is there already, and nothing has to be
// registered.
func (l *loop) awaitPreface(b *binding, fd int, peer netip.AddrPort) {
	if n := l.e.conns.Add(1); n > l.e.connsMax {
		l.e.conns.Add(-1)
		l.countConnection(aboveLimit, "", peer)
		l.refuseAccepted(b, fd, peer)
		return
	}
	p := &prefaced{l: l, b: b, preface: b.preface, fd: fd, peer: peer}
	p.timer.Init(p)
	l.prefaced[p] = struct{}{}
	p.look()
	if p.over {
		return
	}
	if err := l.r.WatchConn(fd, p.look); err != nil {
		l.e.log.Error("connection lost", "loop", l.index, "err", err)
		p.end()
		return
	}
	p.watched = true
	l.sys.setTimer(&p.timer, l.sys.nowMS()+milliseconds(p.preface.Timeout, 0))
}

// look looks at what has come.
func (p *prefaced) look() {
	if p.over {
		return
	}
	room := p.l.prefaceRoom(p.preface.Bytes)
	got, errno := reactor.Peek(p.fd, room)
	switch {
	case errno == syscall.EAGAIN:
		return
	case errno != 0 || got == 0 && !p.started:
		p.end() // a peer that only looks whether the server is there
		return
	case got == 0:
		p.refuse(causePrefaceCut)
		return
	}
	p.started = true
	n, local, remote, err := p.preface.Parse(room[:got])
	switch {
	case err != nil:
		p.refuse(err.Error())
	case n > 0:
		p.pass(room[:n], local, remote)
	case got == len(room):
		p.refuse(causePrefaceLong)
	}
}

// refuseAccepted ends a connection that there is no room for.
func (l *loop) refuseAccepted(b *binding, fd int, peer netip.AddrPort) {
	switch {
	case b.tls != nil:
		l.turnAwayTLS(fd)
	case b.http != nil:
		l.turnAway(b.http, fd, peer)
	default:
		resetNow(fd)
	}
}

// prefaceRoom is room for n bytes.
func (l *loop) prefaceRoom(n int) []byte {
	if len(l.preface) < n {
		l.preface = make([]byte, n)
	}
	return l.preface[:n]
}

// pass takes the preface off the connection, and serves it as if it had been accepted now, with the addresses of the preface.
func (p *prefaced) pass(preface []byte, local, remote netip.AddrPort) {
	if n, _ := p.l.sys.read(p.fd, preface); n != len(preface) {
		p.end() // it was there a moment ago: the connection was reset
		return
	}
	if p.watched {
		p.l.r.Unwatch(p.fd)
	}
	l, b := p.l, p.b
	// It stays counted until it is counted as what it becomes: otherwise Drain could find that there is no connection left.
	l.e.passing.Add(1)
	p.leave()
	defer func() {
		l.e.conns.Add(-1)
		l.e.passing.Add(-1)
	}()
	if !local.IsValid() || !remote.IsValid() {
		l.begin(b, p.fd, p.peer, 0)
	} else if l.admitted(b, p.fd, remote) {
		l.beginNamed(b, p.fd, local, remote)
	}
	if p.ending() {
		l.drain(true)
	}
}

// refuse ends a connection without a valid preface.
func (p *prefaced) refuse(cause string) {
	p.l.countConnection(connectionsRefused, cause, p.peer)
	p.end()
}

// end resets the connection.
func (p *prefaced) end() {
	p.forget()
	if !p.watched {
		resetNow(p.fd)
		return
	}
	reactor.SetLinger0(p.fd)
	p.l.r.Close(p.fd)
}

// forget undoes awaitPreface, except for the descriptor.
func (p *prefaced) forget() {
	p.leave()
	p.l.e.conns.Add(-1)
}

// leave is forget for a connection that stays counted.
func (p *prefaced) leave() {
	p.over = true
	p.l.sys.cancelTimer(&p.timer)
	delete(p.l.prefaced, p)
}

// Expired implements timers.Expirer.
func (p *prefaced) Expired(*timers.Timer) {
	if p.ending() {
		p.end()
		return
	}
	p.refuse(causePrefaceTimeout)
}

// ending reports whether the listener is closed.
func (p *prefaced) ending() bool { return p.b.ended || p.l.e.stopping.Load() }

// drainPrefaced ends the connections without a preface that are to end, as drain does with idle ones.
func (l *loop) drainPrefaced(patient bool) {
	for p := range l.prefaced {
		if !p.ending() {
			continue
		}
		if patient {
			l.sys.setTimer(&p.timer, l.sys.nowMS()+lastRequestMS)
			continue
		}
		p.look() // it may have come, and nothing has reported it yet
		if !p.over {
			p.end()
		}
	}
}

// resetPrefaced resets all of them.
func (l *loop) resetPrefaced() {
	for p := range l.prefaced {
		p.end()
	}
}
