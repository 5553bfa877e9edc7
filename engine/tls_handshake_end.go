package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// The end of a handshake: it becomes a connection, or fails.

// done: the goroutine has ended, or the fiber has.
func (h *handshake) done(conn *tls.Conn, err error) {
	if h.state != handshakeRunning {
		return
	}
	if err != nil && h.dial != nil {
		if h.hungUp && isEOF(err) {
			err = errReset
		}
		h.dial.fail(&backend.HandshakeError{Err: err})
		return
	}
	if err != nil {
		h.l.twin.countHandshake(handshakeCause(err), err, h.c.peer)
		h.refuse(nil)
		return
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol == challengeProtocol {
		h.refuse(nil)
		return
	}
	h.l.twin.countSecured(state.Version, state.DidResume)
	h.forget()
	h.c.tls, h.c.handshake = conn, nil
	h.c.taken.begin()
	if h.used < len(h.in) {
		h.c.early = h.in[h.used:]
	}
	h.serve()
}

// serve makes the connection an ordinary one of whatever serves the listener now. If that checks clients in another way, it is what
// served the listener before, as for a connection whose handshake was over a moment earlier.
func (h *handshake) serve() {
	l, fd := h.l.twin, h.c.fd
	if h.dial != nil {
		h.dial.secured()
		return
	}
	by := h.b.services
	if h.outdated() {
		by = h.from
	}
	switch {
	case by.raw != nil:
		h.serveRaw(by.raw)
		return
	case by.http == nil:
		h.serveSocket(by.sockets)
		return
	case h.choseH2():
		h.serveH2(by.http)
		return
	}
	c := newConn(l, by.http, fd, h.c.peer)
	h.hand(c)
	c.socket.readable, c.socket.peerClosed, c.socket.local = true, h.peerClosed, h.known
	if h.hungUp {
		c.socket.hangUp()
	}
	if l.e.connState != nil {
		c.report(ConnNew)
	}
	nowMS := l.sys.nowMS()
	if c.ending() {
		c.awaitLast(nowMS)
	}
	h.c.parched = h.dry
	c.advance(nowMS)
	h.c.parched = false
}

// outdated reports whether the listener checks clients in another way by now.
func (h *handshake) outdated() bool { return h.b != nil && !h.b.tls.admits(h.setup) }

// hand gives the descriptor to another handler.
func (h *handshake) hand(to reactor.Handler) {
	h.l.hand(h.c.fd, to)
}

// ending reports whether the connection is to end before it serves a request.
func (h *handshake) ending() bool {
	return h.l.twin.e.stopping.Load() || h.b != nil && h.b.ended
}

// handshakeCause is the cause of a failed handshake, for the log.
func handshakeCause(err error) string {
	var op *net.OpError
	switch {
	case isEOF(err):
		return causeHandshakeCut
	case errors.As(err, &op) && op.Op == "remote error":
		return causeHandshakeAlert
	case errors.As(err, new(tls.RecordHeaderError)):
		return causeHandshakeNotTLS
	case errors.Is(err, ErrNoCertificate):
		return causeHandshakeNoCert
	}
	return causeHandshakeRefused
}

func isEOF(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// refusePlain answers a request that was sent without TLS.
func (h *handshake) refusePlain() {
	h.l.twin.countHandshake(causeHandshakeHTTP, nil, h.c.peer)
	h.refuse(h.l.twin.plainRequestPage(h.b))
}

// refuse sends last, and ends the connection in the way that lets the peer read it.
func (h *handshake) refuse(last []byte) {
	h.send(last)
	h.l.plain.shutdownWrite(h.c.fd)
	h.state = handshakeLingering
	h.l.plain.setTimer(&h.timer, after(h.l.plain.nowMS(), milliseconds(handshakeLinger, 0)))
	h.receive()
}

// fail ends the connection at once.
func (h *handshake) fail(cause string, err error) {
	if h.dial != nil {
		if err = errReset; cause == causeHandshakeTimeout {
			err = errHandshakeTimeout
		}
		h.dial.fail(&backend.HandshakeError{Err: err})
		return
	}
	if h.state != handshakeLingering {
		h.l.twin.countHandshake(cause, err, h.c.peer)
	}
	h.close()
}

// close closes the connection. A goroutine that still runs, or a fiber, finds its input ended.
func (h *handshake) close() {
	h.forget()
	h.all.giveUp(h)
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	if h.fiber != nil {
		h.step()
	} else {
		h.notify()
	}
	if h.dial == nil {
		h.l.twin.e.conns.Add(-1)
	}
	h.l.close(h.c.fd)
}

// forget: the handshake is over.
func (h *handshake) forget() {
	h.state = handshakeOver
	h.l.plain.cancelTimer(&h.timer)
	delete(h.l.handshakes, h)
}
