package engine

import (
	"net/netip"
	"syscall"

	"moonbridge/reactor"
)

// socket is our end of a connection, and what the poller's edges and the system calls have told about it. An edge is
// reported once, so it is remembered here until a call has used it up.
type socket struct {
	fd    int
	peer  netip.AddrPort // not valid on a Unix socket
	local uint8          // place of our address in the listener's addrs, from 1; 0: not asked for yet

	readable   bool // a read may return bytes, the end, or an error
	writable   bool // a write may find room
	peerClosed bool // the peer has sent its FIN: after the bytes that are left a read returns 0
	eof        bool // a read has returned that 0
	broken     bool // a write has failed: there is no peer to answer

	errno uint16 // of the read or write that has failed, or of the next write: see hangUp
}

// hangUp notes that both directions are gone.
func (s *socket) hangUp() {
	s.peerClosed = true
	if s.errno == 0 {
		s.errno = uint16(syscall.EPIPE)
	}
}

// hungUp reports whether nothing that is written can reach the peer any more.
func (s *socket) hungUp() bool { return s.errno != 0 }

// failure is the error of the read or write that has failed.
func (s *socket) failure() error { return syscall.Errno(s.errno) }

// ended reports whether the peer has finished sending, though bytes may be left to read.
func (s *socket) ended() bool { return s.peerClosed || s.eof }

// readResult is what came of a read.
type readResult uint8

const (
	readBytes   readResult = iota // at least one byte
	readNothing                   // nothing there yet: an edge will come
	readEnd                       // the peer has finished sending
	readFailed                    // the connection is gone
)

// heard notes an edge. It reports whether the socket has become writable.
func (s *socket) heard(got reactor.Readiness) (writable bool) {
	if got&reactor.PeerClosed != 0 {
		s.peerClosed = true
	}
	if got&(reactor.Readable|reactor.PeerClosed) != 0 {
		s.readable = true
	}
	if got&reactor.Writable != 0 && !s.writable {
		s.writable = true
		return true
	}
	return false
}

// read reads once into p, which is not empty.
//
// A short read has emptied the socket, and the next byte makes a new edge: this saves the second read that would only
// return EAGAIN. After the FIN there is no further edge, so then it reads until it has the 0.
func (s *socket) read(sys *system, p []byte) (n int, result readResult) {
	n, errno := sys.read(s.fd, p)
	switch {
	case errno == syscall.EAGAIN:
		s.readable = false
		return 0, readNothing
	case errno != 0:
		s.errno = uint16(errno)
		return 0, readFailed
	case n == 0 && s.cut():
		s.readable = false
		return 0, readFailed
	case n == 0:
		s.readable, s.eof = false, true
		return 0, readEnd
	}
	if n < len(p) && !s.peerClosed {
		s.readable = false
	}
	return n, readBytes
}

// cut reports whether the connection has ended without a FIN of the peer, as a write has told. The system tells it only once: a read that
// comes later returns 0, as after a FIN. If there was one before the RST, the write fails with EPIPE.
func (s *socket) cut() bool {
	return s.broken && s.errno != 0 && s.errno != uint16(syscall.EPIPE) // 0: it is not known why
}

// write writes a, then b, as far as the socket takes them now. An error leaves the socket broken.
func (s *socket) write(sys *system, a, b []byte) (n int) {
	if !s.writable || s.broken {
		return 0
	}
	var errno syscall.Errno
	if len(b) == 0 {
		n, errno = sys.write(s.fd, a)
	} else {
		n, errno = sys.writev(s.fd, a, b)
	}
	switch {
	case errno == syscall.EAGAIN:
		n = 0
	case errno != 0:
		s.broken, s.errno = true, uint16(errno)
		return 0
	}
	if n < len(a)+len(b) {
		s.writable = false
	}
	return n
}
