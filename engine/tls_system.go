package engine

import (
	"syscall"
	"time"

	"moonbridge/bufio"
	"moonbridge/handler/list"
	"moonbridge/reactor"
)

// tlsLoop is what a loop has for TLS: the second loop object, whose connections are those that have finished their handshake, and
// those that have not.
type tlsLoop struct {
	// Immutable.
	first *loop
	twin  *loop
	plain *system // the real one
	pool  *bufio.Pool

	barrenMost int // barrenMost; only tests change it

	conns      []*tlsConn // by descriptor
	handshakes map[*handshake]struct{}

	due     list.List[handshake] // that have to be computed here
	going   time.Duration        // for how long handshakes have been computed since goingMS
	goingMS uint64
	fibers  []*fiber // that have nothing to do
	over    bool     // the engine ends

	computeDue func() // computeNext

	corked resumption[*tlsConn] // whose last ciphertext waits for close_notify

	cipher []byte // ciphertext on its way from crypto/tls to the socket, within a call
	window []byte // bytes on their way from the handshake's peer or from a file
	joint  []byte // plaintext of one record that comes from two places

	surplus int  // bytes that a call of read has taken, less those that it returns
	sated   bool // that was the end of it
}

// tls returns the part for TLS, and makes it the first time.
func (l *loop) tlsPart() *tlsLoop {
	if l.tls == nil {
		t := &tlsLoop{first: l, plain: &l.sys, pool: l.pool, barrenMost: barrenMost, handshakes: make(map[*handshake]struct{})}
		t.due, t.computeDue = newDue(), t.computeNext
		t.corked.init(t.plain, t.uncork)
		t.window, t.joint = make([]byte, sealAhead), make([]byte, recordBytes)
		t.twin = makeLoop(l.e, l.index, t.system())
		t.twin.r, t.twin.shown, t.twin.pool, t.twin.lastID, t.twin.sealed = l.r, l.shown, l.pool, l.lastID, t
		t.twin.useClocks(l)
		t.twin.secure, t.twin.tlsOf, t.twin.head.Secure = true, t.tlsState, true
		l.tls = t
	}
	return l.tls
}

// system is the plain system, with calls on sockets that decrypt and encrypt.
func (l *tlsLoop) system() system {
	s := *l.plain
	s.read, s.writev, s.sendFile = l.read, l.write, l.sendFile
	s.write = func(fd int, p []byte) (int, syscall.Errno) { return l.write(fd, p, nil) }
	s.writeMore = s.write
	s.shutdownWrite, s.farewell, s.unacknowledged = l.shutdownWrite, l.farewell, l.unacknowledged
	s.hand, s.close = l.hand, l.close
	s.splice = nil // the bytes have to be encrypted here
	return s
}

func (l *tlsLoop) add(c *tlsConn) {
	if c.fd >= len(l.conns) {
		l.conns = append(l.conns, make([]*tlsConn, max(64, c.fd+1-len(l.conns), len(l.conns)))...)
	}
	l.conns[c.fd] = c
}

// read fills p as far as there are bytes. A short read therefore means what it means on a socket: an edge will come. crypto/tls
// may hold decrypted bytes that no edge tells of, so it is asked until it has none, or has taken much for little: see surplusMax.
func (l *tlsLoop) read(fd int, p []byte) (n int, errno syscall.Errno) {
	c := l.conns[fd]
	parched := c.parched
	c.dry, c.parched = parched, false
	l.surplus, l.sated = 0, false
	var err error
	for n < len(p) && err == nil {
		var m int
		m, err = c.tls.Read(p[n:])
		n += m
		l.surplus -= m
		if m > 0 {
			c.taken.brought()
		}
		if err == errLater && n == 0 && c.dry && !parched {
			c.dry, err = false, nil // after a part of a record, the end may be there, of which no edge will tell
		}
	}
	if len(l.cipher) > 0 {
		c.push() // an alert, or the answer to a new key
	}
	if err == errLater && c.taken.tooMany(l.plain.nowMS(), l.barrenMost) {
		l.twin.countBarren(c)
		return 0, syscall.ECONNRESET
	}
	if l.sated {
		l.tellLater(c, reactor.Readable)
	}
	switch {
	case err == nil || err == errLater && n > 0:
		return n, 0
	case err == errLater:
		return 0, syscall.EAGAIN
	case n > 0:
		l.tellLater(c, reactor.PeerClosed) // the end was read together with the last bytes
		return n, 0
	case isEOF(err) && !(c.cut && c.strict):
		return 0, 0
	}
	return 0, syscall.ECONNRESET
}

// cut reports whether the peer of a connection with TLS has ended it without saying so in TLS. HTTP does not mind, but other
// protocols could take what has come for complete (RFC 8446 §6.1).
func (l *loop) cut(fd int) bool { return l.sealed != nil && l.sealed.conns[fd].cut }

// untold reports whether the owner of a connection with TLS has not been told of all that is known: bytes, or the end.
func (l *loop) untold(fd int) bool { return l.sealed != nil && l.sealed.conns[fd].untold }

// tellLater tells the owner of a connection in the next turn what no edge will tell.
func (l *tlsLoop) tellLater(c *tlsConn, got reactor.Readiness) {
	c.untold = true
	l.plain.post(func() {
		if l.conns[c.fd] == c {
			c.untold = false
			c.handler.Ready(got)
		}
	})
}

// write encrypts a, then b, as far as the socket takes them. If it does not take all ciphertext, the rest is held, and the last
// byte of plaintext is reported as not written. So the writer sees a short write, keeps that byte, waits for the socket, and
// offers the byte again; then it is skipped. No other part of the engine has to know of the ciphertext.
func (l *tlsLoop) write(fd int, a, b []byte) (n int, errno syscall.Errno) {
	c := l.conns[fd]
	if c.held.Len() > 0 {
		if c.push(); c.held.Len() > 0 && !c.failed {
			return 0, syscall.EAGAIN
		}
	}
	if c.withheld {
		n, c.withheld = 1, false
	}
	if c.final && l.cork(c, a, b, n) {
		return len(a) + len(b), 0
	}
	for total := len(a) + len(b); n < total && c.held.Len() == 0 && !c.failed; {
		m, err := l.seal(c, a, b, n, min(total, n+sealAhead))
		if err != nil {
			return 0, syscall.EPIPE
		}
		n = m
		c.push()
	}
	switch {
	case c.failed:
		return 0, syscall.EPIPE
	case c.held.Len() > 0:
		n, c.withheld = n-1, true
		if n == 0 {
			return 0, syscall.EAGAIN
		}
	}
	return n, 0
}

// seal encrypts the bytes from n to end of a and b together, in full records.
func (l *tlsLoop) seal(c *tlsConn, a, b []byte, n, end int) (int, error) {
	for n < end {
		record := l.record(a, b, n, min(recordBytes, end-n))
		if _, err := c.tls.Write(record); err != nil {
			l.cipher = l.cipher[:0]
			return n, err
		}
		n += len(record)
	}
	return n, nil
}

// record returns size bytes from n on, of a and b together. They are copied if they come from both.
func (l *tlsLoop) record(a, b []byte, n, size int) []byte {
	restA, restB := from(a, b, n)
	switch {
	case size <= len(restA):
		return restA[:size]
	case len(restA) == 0:
		return restB[:size]
	}
	copy(l.joint, restA)
	copy(l.joint[len(restA):], restB)
	return l.joint[:size]
}

// sendFile reads a part of the file and encrypts it: the kernel has no keys.
func (l *tlsLoop) sendFile(fd, file int, offset, n int64) (sent int64, errno syscall.Errno) {
	c := l.conns[fd]
	if c.held.Len() > 0 {
		if c.push(); c.held.Len() > 0 && !c.failed {
			return 0, syscall.EAGAIN
		}
	}
	p := l.window[:min(n, int64(len(l.window)))]
	m, err := pread(file, p, offset)
	if m <= 0 {
		return 0, err
	}
	written, errno := l.write(fd, p[:m], nil)
	return int64(written), errno
}

func pread(file int, p []byte, offset int64) (n int, errno syscall.Errno) {
	for {
		n, err := syscall.Pread(file, p, offset)
		if err != syscall.EINTR {
			errno, _ = err.(syscall.Errno)
			return n, errno
		}
	}
}

func (l *tlsLoop) farewell(fd int, more bool) bool { return l.conns[fd].farewell(more) }

// shutdownWrite ends the sending side in TLS, if that has not been done, and then of the socket.
func (l *tlsLoop) shutdownWrite(fd int) error {
	l.conns[fd].farewell(true)
	return l.plain.shutdownWrite(fd)
}

// unacknowledged counts what is held as on its way: it was reported as written.
func (l *tlsLoop) unacknowledged(fd int) int64 {
	n := l.plain.unacknowledged(fd)
	if n >= 0 {
		n += int64(l.conns[fd].held.Len())
	}
	return n
}

// hand gives a connection to another handler.
func (l *tlsLoop) hand(fd int, to reactor.Handler) {
	_, raw := to.(*rawConn)
	l.conns[fd].handler, l.conns[fd].strict = to, raw
	l.plain.hand(fd, to)
}

func (l *tlsLoop) close(fd int) {
	l.drop(fd)
	l.plain.close(fd)
}

func (l *tlsLoop) drop(fd int) {
	l.conns[fd].held.Release(l.pool)
	l.conns[fd] = nil
}

// drain is loop.drain for connections with TLS. A handshake that has not begun ends; if patient, after the time for a last request. One that
// has is finished, and then the peer has that time: it may have sent its request already.
func (l *tlsLoop) drain(patient bool) {
	for h := range l.handshakes {
		switch {
		case h.state != handshakeHello || !h.ending():
		case !patient:
			h.close()
		default:
			h.awaitLast()
		}
	}
	l.twin.drain(patient)
}

func (l *tlsLoop) resetAll() {
	for h := range l.handshakes {
		if h.dial != nil {
			continue // it ends with the attempt that it is a part of
		}
		if h.state != handshakeLingering {
			l.plain.resetOnClose(h.c.fd)
		}
		h.close()
	}
	l.twin.resetAll()
	l.endFibers()
}
