package engine

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/reactor"
)

// streamConn is what a *net.TCPConn and a *net.UnixConn have in common.
type streamConn interface {
	net.Conn
	CloseWrite() error
}

// heldPiece is how much of what is held is written at once. It is less than a third of the smallest usual send buffer: when the kernel
// reports room and takes more, left changes.
const heldPiece = 4 << 10

// closePatience is how long the peer of a closing connection may take nothing of what is held. Tests change it.
var closePatience = 5 * time.Second

// detachedConn is a connection that has left its loop with bytes that were read and not used, or written and not sent.
type detachedConn struct {
	streamConn

	reading sync.Mutex
	unread  []byte

	writing sync.Mutex
	held    []byte
	holds   atomic.Int64 // their number

	mu      sync.Mutex
	sent    bool // nothing is held
	closing bool // Close was called: the connection is closed when everything is sent
	over    bool // it is closed
	timer   *time.Timer
	ended   func() // called when it is closed
}

// newDetached puts unread before what conn is going to read, and sends held before what is going to be written to it.
func newDetached(conn net.Conn, unread, held []byte) net.Conn {
	if len(unread) == 0 && len(held) == 0 {
		return conn
	}
	d := &detachedConn{streamConn: conn.(streamConn), unread: unread, held: held, sent: len(held) == 0}
	if !d.sent {
		d.holds.Store(int64(len(held)))
		go d.sendHeld()
	}
	return d
}

// sendHeld sends what is held even if nothing is written to the connection any more.
func (d *detachedConn) sendHeld() {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.flush() // after an error the next write, or Close, goes on
}

// sendLast sends what is held when the connection closes. An error ends it.
func (d *detachedConn) sendLast() {
	d.writing.Lock()
	defer d.writing.Unlock()
	if d.flush() != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		resetOnClose(d.streamConn)
		d.end()
	}
}

// end closes the connection. Under mu.
func (d *detachedConn) end() {
	d.over = true
	d.timer.Stop()
	d.streamConn.Close()
	d.ended()
}

// resetOnClose keeps the peer from taking what it has got for all. With TLS it is enough that the last words are missing.
func resetOnClose(c net.Conn) {
	if c, ok := c.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
}

// flush sends what is held. The caller has locked writing. After an error, such as a deadline, the next write goes on.
func (d *detachedConn) flush() error {
	if len(d.held) == 0 {
		return nil
	}
	for len(d.held) > 0 {
		n, err := d.streamConn.Write(d.held[:min(len(d.held), heldPiece)])
		d.held = d.held[n:]
		d.holds.Store(int64(len(d.held)))
		if err != nil {
			return err
		}
	}
	d.held = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = true
	if d.closing {
		d.end()
	}
	return nil
}

// Close closes the connection. What is held is still sent, while the peer takes some of it within the usual time.
func (d *detachedConn) Close() error { return d.closeThen(func() {}) }

// closeThen is Close, and calls ended when the connection is closed.
func (d *detachedConn) closeThen(ended func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sent {
		d.closing = true
		defer ended()
		return d.streamConn.Close()
	}
	if d.closing {
		return net.ErrClosed
	}
	d.closing, d.ended = true, ended
	d.streamConn.SetReadDeadline(time.Unix(1, 0))
	err := d.streamConn.SetWriteDeadline(time.Time{}) // not one that is extended: in TLS nothing can be sent after a write that has failed
	go d.sendLast()                                   // an attempt under way may fail because of an earlier deadline
	d.watch(left(d))
	return err
}

// watch looks at the peer after the usual time, and again and again. before is what was left. Under mu.
func (d *detachedConn) watch(before int64) {
	d.timer = time.AfterFunc(closePatience, func() { d.look(before, left(d)) })
}

// look ends a closing connection whose peer has taken nothing, since as much is left as before.
func (d *detachedConn) look(before, now int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.over:
	case now == before:
		d.streamConn.SetWriteDeadline(time.Unix(1, 0)) // sendLast does the rest
	default:
		d.watch(now)
	}
}

// left is how many bytes of a connection off the loops wait to be sent, or are not acknowledged. While the peer takes nothing it does not
// change, once the buffers of the system are full.
func left(c net.Conn) int64 {
	switch c := c.(type) {
	case *detachedConn:
		return c.holds.Load() + left(c.streamConn)
	case *withheldConn:
		return left(c.NetConn())
	case *tls.Conn:
		return left(c.NetConn())
	case *tlsConn:
		return left(c.away)
	case syscall.Conn:
		n := 0
		if raw, err := c.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { n = max(0, reactor.Unacknowledged(int(fd))) })
		}
		return int64(n)
	}
	return 0
}

func (d *detachedConn) isClosing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// Read returns the unread bytes first.
func (d *detachedConn) Read(p []byte) (int, error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if d.isClosing() {
		return 0, net.ErrClosed
	}
	if len(d.unread) > 0 {
		n := copy(p, d.unread)
		d.unread = d.unread[n:]
		return n, nil
	}
	n, err := d.streamConn.Read(p)
	return n, d.closedOr(err)
}

// closedOr is the error of a call that Close may have ended.
func (d *detachedConn) closedOr(err error) error {
	if err != nil && d.isClosing() {
		return net.ErrClosed
	}
	return err
}

// WriteTo copies to w what is read, until the end. The system may copy most of it by itself.
func (d *detachedConn) WriteTo(w io.Writer) (n int64, err error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if d.isClosing() {
		return 0, net.ErrClosed
	}
	if len(d.unread) > 0 {
		k, err := w.Write(d.unread)
		d.unread = d.unread[k:]
		if n = int64(k); err != nil {
			return n, err
		}
	}
	k, err := io.Copy(w, d.streamConn)
	return n + k, d.closedOr(err)
}

// Write sends p after what is held.
func (d *detachedConn) Write(p []byte) (int, error) {
	if d.isClosing() {
		return 0, net.ErrClosed
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.flush(); err != nil {
		return 0, err
	}
	return d.streamConn.Write(p)
}

// ReadFrom sends what r returns. The system may copy most of it by itself.
func (d *detachedConn) ReadFrom(r io.Reader) (int64, error) {
	if d.isClosing() {
		return 0, net.ErrClosed
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.flush(); err != nil {
		return 0, err
	}
	return io.Copy(d.streamConn, r)
}

// CloseWrite finishes sending, after what is held.
func (d *detachedConn) CloseWrite() error {
	if d.isClosing() {
		return net.ErrClosed
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.flush(); err != nil {
		return err
	}
	return d.streamConn.CloseWrite()
}

// SetDeadline implements net.Conn. After Close the deadlines are those of Close, as in the methods below.
func (d *detachedConn) SetDeadline(t time.Time) error {
	return d.whileOpen(d.streamConn.SetDeadline, t)
}

// SetReadDeadline implements net.Conn.
func (d *detachedConn) SetReadDeadline(t time.Time) error {
	return d.whileOpen(d.streamConn.SetReadDeadline, t)
}

// SetWriteDeadline implements net.Conn.
func (d *detachedConn) SetWriteDeadline(t time.Time) error {
	return d.whileOpen(d.streamConn.SetWriteDeadline, t)
}

func (d *detachedConn) whileOpen(set func(time.Time) error, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return net.ErrClosed
	}
	return set(t)
}

// NetConn is the connection without the bytes.
func (d *detachedConn) NetConn() net.Conn { return d.streamConn }
