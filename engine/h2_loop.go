package engine

import (
	"bytes"
	"math"
	"net"
	"slices"
	"sync/atomic"
	"syscall"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/handler/list"
	"moonbridge/httpparse"
	"moonbridge/reactor"

	"golang.org/x/net/http2/hpack"
)

// HTTP/2 is translated. A connection is a rawConn whose Stream is an h2Conn. It makes the bytes of an HTTP/1.1 request of each of its
// streams, and frames of the bytes of the response. In between is an ordinary conn: on another loop object, whose system reads
// and writes these bytes instead of calling the operating system. So everything that a conn does is done for a stream too, by the
// same code: limits, bodies, files, the spool, error pages, deadlines, logs. And a conn of HTTP/1 does not even ask whether it is one.

// h2Loop is what a loop has for HTTP/2, with or without TLS. Its streams have descriptors of their own kind: negative numbers.
type h2Loop struct {
	// Immutable.
	parent   *loop // of the connections
	twin     *loop // of the streams
	pool     *bufio.Pool
	lookMS   uint64 // h2LookMS, or what a test sets
	tarpitMS uint64 // h2TarpitMS, likewise
	drainMS  uint64 // h2DrainMS, likewise

	tunnels atomic.Int64 // streams that have left HTTP

	conns  list.List[h2Conn]
	agains resumption[*h2Conn]

	slots  []h2Slot // by descriptor
	free   []int    // descriptors that are in no use
	idle   []*conn  // without a stream
	none   service  // of these
	blocks []*h2Block
	spare  []*h2Stream // that have ended in the ordinary way

	widened int // streams that have made the windows of their connections larger by their own

	// So far.
	opened                     uint64 // connections
	resetsReceived, resetsSent uint64 // frames

	// Room that is used again.
	encoder  *hpack.Encoder
	encoded  bytes.Buffer
	name     []byte // of a field, in lower case
	text     []byte // of a head
	heads    h2Heads
	response httpparse.Response
	hop      httpparse.Hop
	window   []byte // bytes of a file
}

// h2Slot is a descriptor: a conn, and what it is there for now.
type h2Slot struct {
	c    *conn
	st   *h2Stream // that it serves; nil: none
	left *h2Conn   // of which it has served a stream, whose handler goes on after its response; nil: none
}

const (
	h2IdleKept    = 256
	h2StreamsKept = 256
	h2BlocksKept  = 16
	// h2BlockKept is up to which size the buffers of a block are kept.
	h2BlockKept = 16 << 10
)

// h2Part returns the part for HTTP/2, and makes it the first time.
func (l *loop) h2Part() *h2Loop {
	if l.h2 == nil {
		m := &h2Loop{parent: l, lookMS: h2LookMS, tarpitMS: h2TarpitMS, drainMS: h2DrainMS, conns: list.New(func(s *h2Conn) *list.Links[h2Conn] { return &s.links })}
		m.agains.init(&l.sys, (*h2Conn).resume)
		m.encoder = hpack.NewEncoder(&m.encoded)
		m.encoder.SetMaxDynamicTableSize(0)
		m.encoder.WriteField(hpack.HeaderField{Name: "date"}) // with it, the encoder says once what its table is
		t := makeLoop(l.e, l.index, m.system())
		t.r, t.shown, t.lastID = l.r, l.shown, l.lastID
		t.useClocks(l)
		m.pool = t.pool
		if l.e.check {
			m.pool.Poison()
		}
		t.secure, t.multiplexed, t.tlsOf = l.secure, m, m.tlsState
		t.head.Secure, t.head.HTTP2 = l.secure, true
		m.twin, l.h2 = t, m
	}
	return l.h2
}

// system is that of the parent, with calls that reach streams instead of sockets.
func (m *h2Loop) system() system {
	s := m.parent.sys
	s.read, s.writev, s.sendFile = m.read, m.write, m.sendFile
	s.write = func(fd int, p []byte) (int, syscall.Errno) { return m.write(fd, p, nil) }
	s.writeMore = s.write
	s.shutdownWrite, s.close, s.resetOnClose = m.shutdownWrite, m.close, m.resetOnClose
	s.unacknowledged, s.breakAfter = m.unacknowledged, m.breakAfter
	s.farewell, s.splice = nil, nil
	s.add = func(int, reactor.Handler) error { return errH2 }
	s.leave = func(int) error { return errH2 }
	s.hand = m.hand
	s.duplicate = func(int) (net.Conn, error) { return nil, errH2 }
	return s
}

// slot is that of a descriptor.
func (m *h2Loop) slot(fd int) *h2Slot { return &m.slots[-fd-1] }

// stream is the one that a descriptor stands for now, or nil.
func (m *h2Loop) stream(fd int) *h2Stream { return m.slot(fd).st }

// takeConn returns a conn that serves st.
func (m *h2Loop) takeConn(st *h2Stream) *conn {
	s := st.s
	svc := s.service.latest()
	s.service = svc // a connection may last for long: it does not keep the backend that it has begun with
	var c *conn
	if n := len(m.idle); n > 0 {
		c = m.idle[n-1]
		m.idle[n-1] = nil
		m.idle = m.idle[:n-1]
		c.service, c.socket.peer, c.reported = svc, s.raw.socket.peer, 0
	} else {
		c = newConn(m.twin, svc, m.newDescriptor(), s.raw.socket.peer)
		m.slot(c.socket.fd).c = c
	}
	c.lingering = lingering{}
	c.socket = socket{fd: c.socket.fd, peer: c.socket.peer, writable: true, peerClosed: s.peerGone, local: s.localOf(c.socket.fd)}
	m.slot(c.socket.fd).st = st
	return c
}

func (m *h2Loop) newDescriptor() int {
	if n := len(m.free); n > 0 {
		fd := m.free[n-1]
		m.free = m.free[:n-1]
		return fd
	}
	m.slots = append(m.slots, h2Slot{})
	return -len(m.slots)
}

// giveBack takes a conn whose stream has ended, and that is idle. If a handler goes on, the conn stays with the connection, at whose
// end the handler is told.
func (m *h2Loop) giveBack(c *conn, s *h2Conn) {
	slot := m.slot(c.socket.fd)
	slot.st = nil
	c.deadline.atMS = 0
	if !c.remains {
		m.keep(c)
		return
	}
	slot.left = s
	s.left = append(s.left, c)
}

// keep keeps a conn for another stream.
func (m *h2Loop) keep(c *conn) {
	if len(m.idle) == h2IdleKept || c.input.Len() > 0 {
		c.close()
		return
	}
	c.service = &m.none // it may wait for long, and does not keep the backend of its last stream
	m.idle = append(m.idle, c)
}

// handlersLeft: no handler of c goes on after its response any more.
func (m *h2Loop) handlersLeft(c *conn) {
	slot := m.slot(c.socket.fd)
	s := slot.left
	if s == nil || slot.c != c { // c may have ended long ago, and another one has the descriptor
		return
	}
	slot.left = nil
	s.left = slices.DeleteFunc(s.left, func(other *conn) bool { return other == c })
	if c.state != stateClosed {
		m.keep(c)
	}
}

// leaveHandlers tells the handlers that have gone on after their responses that the connection has ended.
func (s *h2Conn) leaveHandlers() {
	for len(s.left) > 0 {
		s.left[0].close() // and handlersLeft takes it from the list
	}
}

// close is that of a system: the conn of the descriptor has ended.
func (m *h2Loop) close(fd int) {
	slot := m.slot(fd)
	if st := slot.st; st != nil {
		st.connEnded()
	}
	*slot = h2Slot{}
	m.free = append(m.free, fd)
}

// drain ends the connections that are to end.
func (m *h2Loop) drain() {
	for s := range m.conns.All() {
		if s.ending() {
			s.drain()
		}
	}
}

// newStream returns a stream, of which nothing is set.
func (m *h2Loop) newStream() *h2Stream {
	n := len(m.spare)
	if n == 0 {
		return new(h2Stream)
	}
	st := m.spare[n-1]
	m.spare[n-1] = nil
	m.spare = m.spare[:n-1]
	return st
}

// releaseStream keeps a stream that nothing refers to any more.
func (m *h2Loop) releaseStream(st *h2Stream) {
	*st = h2Stream{}
	if len(m.spare) < h2StreamsKept {
		m.spare = append(m.spare, st)
	}
}

// newBlock returns an empty block.
func (m *h2Loop) newBlock() *h2Block {
	n := len(m.blocks)
	if n == 0 {
		return new(h2Block)
	}
	b := m.blocks[n-1]
	m.blocks = m.blocks[:n-1]
	return b
}

func (m *h2Loop) releaseBlock(b *h2Block) {
	if len(m.blocks) == h2BlocksKept || cap(b.text)+cap(b.cookies) > h2BlockKept {
		return
	}
	*b = h2Block{text: b.text[:0], cookies: b.cookies[:0]}
	m.blocks = append(m.blocks, b)
}

// tlsState is what is known of the TLS of a stream's connection, or nil.
func (m *h2Loop) tlsState(fd int) *backend.TLSState {
	if st := m.stream(fd); st != nil {
		return st.s.raw.TLS() // nil when that has ended
	}
	return nil
}

// breakAfter is for the connection of a stream: all of its streams have the same peer.
func (m *h2Loop) breakAfter(fd int, ms uint64) {
	if st := m.stream(fd); st != nil && !st.s.raw.state.over() {
		m.parent.sys.breakAfter(st.s.raw.socket.fd, ms)
	}
}

// unacknowledged is for a conn that wants to know whether its peer advances. The numbers mean nothing but that: they become smaller with
// each byte that the peer acknowledges of what streams have sent, also if it is other streams' turn. A stream whose own window is used
// up advances as long as what it has sent itself is on its way. Answers to PING and the like do not count.
func (m *h2Loop) unacknowledged(fd int) int64 {
	st := m.stream(fd)
	if st == nil || st.closed {
		return -1
	}
	raw := st.s.raw
	if raw.state.over() {
		return -1
	}
	left := raw.l.sys.unacknowledged(raw.socket.fd)
	if left < 0 {
		return -1
	}
	acked, sent := raw.written-left, st.s.sentAt
	if st.raw != nil {
		return st.unacknowledged(acked)
	}
	if st.waiting && st.sendWindow <= 0 {
		sent = st.sentAt
	}
	return math.MaxInt64/4 - min(acked, sent)
}

// valueOf is where backend.ConnKeeper keeps its value: with the connection, not with the stream.
func (m *h2Loop) valueOf(fd int) *any {
	if st := m.stream(fd); st != nil {
		return &st.s.value
	}
	return new(any)
}

// streamsOf is a copy of the streams of a connection, for a caller that may end them.
func (s *h2Conn) streamsOf() []*h2Stream { return slices.Clone(s.streams) }
