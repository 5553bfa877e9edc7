package engine

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// socketConn is what a TCP connection and one on a Unix socket have in common.
type socketConn interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	File() (*os.File, error)
}

// detached is a connection that has left its loop, for goroutines. It counts against Options.MaxConns until it is closed.
type detached struct {
	socketConn
	released *released

	mu     sync.Mutex
	unread []byte // what the loop has read and not used

	// What the loop has not sent is sent by a goroutine of its own. Closed when it is done, or nil.
	sent    chan struct{}
	sendErr error // with sent closed
}

// released tells the engine once that a connection is gone: when it is closed, or when the garbage collector finds it.
type released struct {
	once sync.Once
	e    *Engine
}

func (r *released) release() {
	r.once.Do(func() {
		r.e.detached.Add(-1)
		r.e.conns.Add(-1)
	})
}

// detachedCloseTime is how long Close of a detached connection lets the peer take what the loop has not sent.
const detachedCloseTime = 5 * time.Second

// newDetached makes conn read unread first, and send held before anything that is written to it. Both are the connection's from
// then on. The caller has left the connection counted in e.conns.
func newDetached(e *Engine, conn net.Conn, unread, held []byte) *detached {
	e.detached.Add(1)
	d := &detached{socketConn: conn.(socketConn), released: &released{e: e}, unread: unread}
	runtime.AddCleanup(d, func(r *released) { r.release() }, d.released)
	if len(held) > 0 {
		d.sent = make(chan struct{})
		go func() {
			_, d.sendErr = d.socketConn.Write(held)
			close(d.sent)
		}()
	}
	return d
}

// Read implements net.Conn.
func (d *detached) Read(p []byte) (int, error) {
	if n := d.takeUnread(p); n > 0 {
		return n, nil
	}
	return d.socketConn.Read(p)
}

func (d *detached) takeUnread(p []byte) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n = copy(p, d.unread); n > 0 {
		d.unread = d.unread[n:]
	}
	return n
}

// WriteTo implements io.WriterTo. The system moves the bytes between two sockets, as for a *net.TCPConn.
func (d *detached) WriteTo(w io.Writer) (int64, error) {
	d.mu.Lock()
	unread := d.unread
	d.unread = nil
	d.mu.Unlock()
	n := 0
	if len(unread) > 0 {
		var err error
		if n, err = w.Write(unread); err != nil {
			return int64(n), err
		}
	}
	moved, err := io.Copy(w, d.socketConn)
	return int64(n) + moved, err
}

// Write implements net.Conn.
func (d *detached) Write(p []byte) (int, error) {
	if err := d.awaitSent(); err != nil {
		return 0, err
	}
	return d.socketConn.Write(p)
}

// ReadFrom implements io.ReaderFrom, as WriteTo.
func (d *detached) ReadFrom(r io.Reader) (int64, error) {
	if err := d.awaitSent(); err != nil {
		return 0, err
	}
	return io.Copy(d.socketConn, r)
}

func (d *detached) awaitSent() error {
	if d.sent == nil {
		return nil
	}
	<-d.sent
	return d.sendErr
}

// CloseWrite finishes sending (FIN).
func (d *detached) CloseWrite() error {
	if err := d.awaitSent(); err != nil {
		return err
	}
	return d.socketConn.CloseWrite()
}

// Close implements net.Conn.
func (d *detached) Close() error {
	defer d.released.release()
	if d.sent != nil {
		select {
		case <-d.sent:
		default:
			d.socketConn.SetWriteDeadline(time.Now().Add(detachedCloseTime))
			go func() {
				<-d.sent
				d.socketConn.Close()
			}()
			return nil
		}
	}
	return d.socketConn.Close()
}

// NetConn returns the *net.TCPConn or *net.UnixConn beneath, for settings of the socket. It must not be read from or written to.
func (d *detached) NetConn() net.Conn { return d.socketConn }
