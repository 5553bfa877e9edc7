package engine

import (
	"io"
	"net"
	"runtime"
	"sync"
)

// hijacked is a connection that has left its loop. One that has left HTTP counts against Options.MaxConns until it is closed, and each that
// has a place among the open ones of its client keeps it.
type hijacked struct {
	streamConn
	count *count
}

// count is the place of such a connection among those of its engine, and among those of its client. It is given back once: when the
// connection is closed, or when the garbage collector finds it.
type count struct {
	once sync.Once
	e    *Engine // nil: it is not counted there, or not any more
	end  func()  // gives back its place among those of its client; nil: it has none
}

func (c *count) giveBack() {
	c.once.Do(func() {
		if c.e != nil {
			c.e.detached.Add(-1)
			c.e.conns.Add(-1)
		}
		if c.end != nil {
			c.end()
		}
		// The runtime keeps c until the garbage collector has found the connection. The engine would lead to it, if the program has it
		// in a list of its handler's: then neither would ever be found.
		c.e, c.end = nil, nil
	})
}

// newHijacked returns conn, which the caller has left counted.
func newHijacked(e *Engine, conn net.Conn, end func()) *hijacked {
	e.detached.Add(1)
	return newCounted(conn, &count{e: e, end: end})
}

func newCounted(conn net.Conn, c *count) *hijacked {
	h := &hijacked{conn.(streamConn), c}
	runtime.AddCleanup(h, (*count).giveBack, c)
	return h
}

// Close implements net.Conn. A connection of which something is still sent counts until that is over.
func (h *hijacked) Close() error {
	if d, ok := h.streamConn.(*detachedConn); ok {
		return d.closeThen(func() { h.count.giveBack() }) // with h itself, which the garbage collector must not find meanwhile
	}
	defer h.count.giveBack()
	return h.streamConn.Close()
}

// WriteTo implements io.WriterTo. The system may copy by itself, as for a *net.TCPConn.
func (h *hijacked) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, h.streamConn) }

// ReadFrom implements io.ReaderFrom, as WriteTo.
func (h *hijacked) ReadFrom(r io.Reader) (int64, error) { return io.Copy(h.streamConn, r) }

// NetConn is the connection within: a *net.TCPConn, *net.UnixConn or *tls.Conn, or what has one and unread bytes before it.
func (h *hijacked) NetConn() net.Conn { return h.streamConn }
