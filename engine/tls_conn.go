package engine

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// tlsConn is the TLS side of a connection. It is the net.Conn below its tls.Conn: that reads and writes ciphertext here. During
// the handshake it is used by a goroutine or a fiber, and passes everything on to the handshake; later it belongs to the loop.
type tlsConn struct {
	l         *tlsLoop
	fd        int
	peer      netip.AddrPort
	tls       *tls.Conn         // nil during the handshake
	state     *backend.TLSState // of tls; nil: nothing has asked for it
	handshake *handshake        // nil after it
	handler   reactor.Handler   // that hears of the descriptor

	away  net.Conn     // the connection that this one has become off the loop; nil: it is on the loop
	early []byte       // read during the handshake, and not used by it
	taken records      // that crypto/tls has got
	held  bufio.Output // ciphertext that the socket does not take

	// withheld: the last byte that was encrypted is not reported as written, because ciphertext is held. The owner of the
	// connection keeps that byte, so it knows that it has to wait, and offers it again: see tlsLoop.write.
	withheld bool
	dry      bool // the socket has nothing more to read at this moment
	parched  bool // the handshake has emptied the socket, and there was no edge since
	cut      bool // the peer has ended the connection without saying so in TLS: bytes may be missing (RFC 8446 §6.1)
	strict   bool // that is an error. In HTTP the framing of a message says whether it is complete
	notified bool // close_notify was encrypted
	final    bool // what is written next is the last: close_notify will follow
	corked   bool // held waits for that, and not for the peer
	failed   bool // a write has failed
	dialed   bool // the engine has opened the connection
	untold   bool // something is known that the owner is told in the next turn: see tellLater
}

// later is the error of a read that would have to wait. It is temporary, so crypto/tls keeps the part of a record that it has.
type later struct{}

func (later) Error() string   { return "no more bytes yet" }
func (later) Timeout() bool   { return true }
func (later) Temporary() bool { return true }

var errLater error = later{}

// errHeld ends a connection whose peer asks for answers and does not read.
var errHeld = os.NewSyscallError("write", syscall.ENOBUFS)

// Read implements net.Conn, for crypto/tls.
func (c *tlsConn) Read(p []byte) (n int, err error) {
	switch {
	case c.away != nil:
		return c.away.Read(p)
	case c.handshake != nil:
		return c.handshake.read(p)
	case c.l.surplus > surplusMax:
		c.l.sated = true
		return 0, errLater
	case len(c.early) > 0:
		n = copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
	case c.dry:
		return 0, errLater
	default:
		n, err = c.readSocket(p)
	}
	c.l.surplus += n
	c.taken.pass(p[:n])
	return n, err
}

// readSocket reads once. A short read has emptied the socket; the next call of the connection tries again.
func (c *tlsConn) readSocket(p []byte) (n int, err error) {
	n, errno := c.l.plain.read(c.fd, p)
	switch {
	case errno == syscall.EAGAIN:
		return 0, errLater
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		c.cut = true
		return 0, io.EOF
	}
	c.dry = n < len(p)
	return n, nil
}

// Write implements net.Conn, for crypto/tls. It keeps p, which is sent by push.
func (c *tlsConn) Write(p []byte) (n int, err error) {
	switch {
	case c.away != nil:
		return c.away.Write(p)
	case c.handshake != nil:
		return c.handshake.write(p)
	}
	if c.failed || c.held.Len()+len(c.l.cipher)+len(p) > cipherHeldMax {
		return 0, errHeld
	}
	c.l.cipher = append(c.l.cipher, p...)
	return len(p), nil
}

// push sends ciphertext: what is held, then what was just encrypted.
func (c *tlsConn) push() { c.pushWith(c.l.plain.write) }

func (c *tlsConn) pushWith(write func(fd int, p []byte) (n int, errno syscall.Errno)) {
	fresh := c.l.cipher
	c.l.cipher = fresh[:0]
	c.corked = false
	if c.held.Len() > 0 {
		c.held.Append(c.l.pool, fresh)
		c.held.Discard(c.l.pool, c.send(write, c.held.Unsent()))
		return
	}
	if len(fresh) > 0 {
		fresh = fresh[c.send(write, fresh):]
	}
	if !c.failed {
		c.held.Append(c.l.pool, fresh)
	}
}

// send writes to the socket, and returns how much that has taken.
func (c *tlsConn) send(write func(fd int, p []byte) (n int, errno syscall.Errno), p []byte) int {
	n, errno := write(c.fd, p)
	if errno != 0 && errno != syscall.EAGAIN {
		c.failed = true
	}
	return max(n, 0)
}

// farewell says in TLS that nothing more will be sent. It reports whether the socket has taken that, or is broken. more: the caller
// shuts down or closes the socket at once, so the system may wait for that, and send the FIN in the same segment.
func (c *tlsConn) farewell(more bool) bool {
	if !c.notified {
		c.notified = true
		c.tls.CloseWrite() // an error means that the connection has failed before
	}
	if more {
		c.pushWith(c.l.plain.writeMore)
	} else {
		c.push()
	}
	c.withheld = c.held.Len() > 0 && !c.failed
	return !c.withheld
}

// Close implements net.Conn. On a loop it is not called.
func (c *tlsConn) Close() error {
	if c.away != nil {
		return c.away.Close()
	}
	return nil
}

// LocalAddr implements net.Conn. It is known during the handshake, for callbacks of the tls.Config, and off the loop.
func (c *tlsConn) LocalAddr() net.Addr {
	switch {
	case c.away != nil:
		return c.away.LocalAddr()
	case c.handshake != nil:
		return netAddr(c.handshake.local)
	}
	return netAddr(netip.AddrPort{})
}

// RemoteAddr implements net.Conn.
func (c *tlsConn) RemoteAddr() net.Addr { return netAddr(c.peer) }

// netAddr is an end of a connection, which is not valid on a Unix socket.
func netAddr(at netip.AddrPort) net.Addr {
	if !at.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(at)
}

// SetDeadline implements net.Conn. On a loop there are other deadlines.
func (c *tlsConn) SetDeadline(at time.Time) error {
	if c.away != nil {
		return c.away.SetDeadline(at)
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *tlsConn) SetReadDeadline(at time.Time) error {
	if c.away != nil {
		return c.away.SetReadDeadline(at)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *tlsConn) SetWriteDeadline(at time.Time) error {
	if c.away != nil {
		return c.away.SetWriteDeadline(at)
	}
	return nil
}
