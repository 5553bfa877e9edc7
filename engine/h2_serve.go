package engine

import (
	"bytes"
	"unsafe"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// h2Protocol makes the connections of a service speak HTTP/2.
type h2Protocol struct {
	l       *h2Loop
	service *service
	was     *conn // see h2Conn
}

// Open implements backend.Protocol.
func (p h2Protocol) Open(c backend.Conn) backend.Stream {
	l := p.l.parent
	nowMS := l.sys.nowMS()
	s := &h2Conn{
		l: p.l, raw: c.(*rawConn), service: p.service, lastData: -1,
		sendWindow: h2WindowDefault, recvWindow: h2WindowDefault, initial: h2WindowDefault, budget: newH2Budget(nowMS),
	}
	s.streams = s.only[:0]
	s.deadline.timer.Init(s)
	p.l.conns.PushFront(s)
	p.l.opened++
	if p.was != nil {
		s.was, s.reported = p.was, p.was.reported
	} else if l.e.connState != nil {
		s.report(ConnNew)
	}
	s.greet()
	s.becomeIdle()
	s.updateDeadline()
	return s
}

// serveH2 is handshake.serve for a connection whose peer has chosen HTTP/2.
func (h *handshake) serveH2(svc *service) {
	c := h.rawConn(svc.latest().h2Bounds, svc.addrs)
	c.open(h2Protocol{l: h.l.twin.h2Part(), service: svc}, svc.latest().ended)
	c.again()
}

// choseH2 reports whether the peer has chosen HTTP/2 in the handshake (RFC 7301).
func (h *handshake) choseH2() bool { return h.c.tls.ConnectionState().NegotiatedProtocol == "h2" }

// becomesH2 is called for a request that HTTP/1 refuses. It reports whether that is the preface of HTTP/2, which the peer uses because
// it knows that it may (RFC 9113 §3.3). Then the connection speaks HTTP/2 from now on.
func (c *conn) becomesH2(err error) bool {
	if !c.service.limits.h2c || c.l.multiplexed != nil || c.remains || c.waits() ||
		httpparse.StatusOf(err) != statusVersion || !beginsH2(c.input.Unread()) {
		return false
	}
	c.input.Settle(c.l.pool)
	r := newRaw(c.l, c.socket, c.service.latest().h2Bounds, c.service.addrs, &c.l.e.conns)
	r.input, c.input.Input = c.input.Input, r.input
	r.due = true
	c.l.sys.hand(c.socket.fd, r)
	if c.exchange.record != nil {
		c.l.releaseRecord(c.exchange.record)
		c.exchange.record = nil
	}
	c.l.e.conns.Add(1)
	c.forget()
	p := h2Protocol{l: c.l.h2Part(), service: c.service}
	ended := c.service.latest().ended
	if c.l.e.connState != nil {
		p.was = c             // no other connection has its address then
		c.service = &p.l.none // it does not keep the backend
	}
	r.open(p, ended)
	r.again()
	return true
}

// beginsH2 reports whether p is the start of the preface. Empty lines before it are not allowed, other than before a request.
func beginsH2(p []byte) bool {
	n := min(len(p), len(h2PrefaceRequestLine))
	return n > len("PRI * HTTP/") && bytes.Equal(p[:n], []byte(h2PrefaceRequestLine)[:n])
}

// report is conn.report for a connection with HTTP/2.
func (s *h2Conn) report(state ConnState) {
	if s.reported == state {
		return
	}
	s.reported = state
	local, remote := s.raw.Addrs()
	id := uintptr(unsafe.Pointer(s))
	if s.was != nil {
		id = uintptr(unsafe.Pointer(s.was))
	}
	s.l.parent.e.connState(ConnInfo{s.l.parent.index, uint64(id), local, remote}, state)
}

// report is called instead of conn.report: a stream is no connection.
func (m *h2Loop) report(fd int, state ConnState) {
	if st := m.stream(fd); st != nil && state == ConnActive {
		st.s.report(ConnActive)
	}
}
