package engine

import (
	"io"
	"net"
	"sync"
	"time"
)

// streamConn is what a *net.TCPConn and a *net.UnixConn have in common.
type streamConn interface {
	net.Conn
	CloseWrite() error
}

// heldPiece is how many bytes the peer of a closing connection has to take in the usual time.
const heldPiece = 64 << 10

// detachedConn is a connection that has left its loop with bytes that were read and not used, or written and not sent.
type detachedConn struct {
	streamConn

	reading sync.Mutex
	unread  []byte

	writing sync.Mutex
	held    []byte

	mu      sync.Mutex
	sent    bool // nothing is held
	closing bool // close the connection when everything is sent
}

// newDetached puts unread before what conn is going to read, and sends held before what is going to be written to it.
func newDetached(conn net.Conn, unread, held []byte) net.Conn {
	if len(unread) == 0 && len(held) == 0 {
		return conn
	}
	d := &detachedConn{streamConn: conn.(streamConn), unread: unread, held: held, sent: len(held) == 0}
	if !d.sent {
		go d.sendHeld()
	}
	return d
}

// sendHeld sends what is held even if nothing is written to the connection any more.
func (d *detachedConn) sendHeld() {
	d.writing.Lock()
	defer d.writing.Unlock()
	if d.flush() != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closing {
			d.streamConn.Close()
		}
	}
}

// flush sends what is held. The caller has locked writing. After an error, such as a deadline, the next write goes on.
func (d *detachedConn) flush() error {
	if len(d.held) == 0 {
		return nil
	}
	for len(d.held) > 0 {
		d.putOff()
		n, err := d.streamConn.Write(d.held[:min(len(d.held), heldPiece)])
		d.held = d.held[n:]
		if err != nil {
			return err
		}
	}
	d.held = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = true
	if d.closing {
		d.streamConn.Close()
	}
	return nil
}

// Close closes the connection. What is held is still sent, if the peer takes it within the usual time.
func (d *detachedConn) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sent {
		return d.streamConn.Close()
	}
	if d.closing {
		return net.ErrClosed
	}
	d.closing = true
	go d.sendHeld() // again: the first may have ended with an error
	d.streamConn.SetReadDeadline(time.Unix(1, 0))
	return d.streamConn.SetWriteDeadline(time.Now().Add(rawLingerDefault))
}

// putOff gives the peer of a closing connection the usual time for the next piece.
func (d *detachedConn) putOff() {
	if d.isClosing() {
		d.streamConn.SetWriteDeadline(time.Now().Add(rawLingerDefault))
	}
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
	if len(d.unread) > 0 && !d.isClosing() {
		n := copy(p, d.unread)
		d.unread = d.unread[n:]
		return n, nil
	}
	n, err := d.streamConn.Read(p)
	if err != nil && d.isClosing() {
		err = net.ErrClosed
	}
	return n, err
}

// WriteTo copies to w what is read, until the end. The system may copy most of it by itself.
func (d *detachedConn) WriteTo(w io.Writer) (n int64, err error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if len(d.unread) > 0 {
		k, err := w.Write(d.unread)
		d.unread = d.unread[k:]
		if n = int64(k); err != nil {
			return n, err
		}
	}
	k, err := io.Copy(w, d.streamConn)
	return n + k, err
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
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.flush(); err != nil {
		return 0, err
	}
	return io.Copy(d.streamConn, r)
}

// CloseWrite finishes sending, after what is held.
func (d *detachedConn) CloseWrite() error {
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.flush(); err != nil {
		return err
	}
	return d.streamConn.CloseWrite()
}

// NetConn is the connection without the bytes.
func (d *detachedConn) NetConn() net.Conn { return d.streamConn }
