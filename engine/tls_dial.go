package engine

import (
	"errors"
	"net/netip"
	"os"
	"syscall"

	"moonbridge/reactor"
)

// ErrTooManyHandshakes is what Dial fails with if as many TLS handshakes wait as may: see Options.Handshakes.
var ErrTooManyHandshakes = errors.New("engine: too many TLS handshakes")

// errHandshakeTimeout ends a handshake that is not complete in time.
var errHandshakeTimeout error = os.NewSyscallError("handshake", syscall.ETIMEDOUT)

// secure begins the TLS handshake of a connection that was established. It is that of a listener with the roles exchanged: a
// goroutine runs it, and the loop moves the bytes.
func (d *dialing) secure(peer netip.AddrPort, got reactor.Readiness) {
	d.l.e.handshakes.prepare(len(d.l.e.loops))
	part := d.l.tlsPart()
	h := &handshake{
		l: part, setup: &TLS{Config: d.o.TLS}, all: &d.l.e.handshakes, dial: d, state: handshakeRunning, wake: make(chan struct{}, 1),
	}
	h.c = &tlsConn{l: part, fd: d.fd, peer: peer, handshake: h, handler: h, dialed: true}
	d.hands = h
	d.l.sys.cancelTimer(&d.timer)
	part.add(h.c)
	part.handshakes[h] = struct{}{}
	h.timer.Init(h)
	d.l.sys.setTimer(&h.timer, d.endMS)
	d.l.sys.hand(d.fd, h)
	if len(d.o.First) > 0 {
		h.send(d.o.First)
	}
	if !h.all.begin(h) {
		d.fail(ErrTooManyHandshakes)
		return
	}
	h.Ready(got)
}

// secured: the handshake is over.
func (d *dialing) secured() {
	h := d.hands
	d.leave()
	l := h.l.twin
	c := newRaw(l, socket{fd: d.fd, peer: h.c.peer, writable: true, readable: true, peerClosed: h.peerClosed}, resolveBounds(d.o.Bounds), nil, &l.e.dialed)
	h.hand(c)
	c.open(d.protocol, false)
	c.again()
}
