package engine

import (
	"io"
	"net"
	"runtime"
	"sync"
)

// hijacked is a connection that has left its loop and HTTP. It counts against Options.MaxConns until it is closed.
type hijacked struct {
	streamConn
	count *count
}

// count is the place of a hijacked connection among those of its engine. It is given back once: when the connection is closed, or
// when the garbage collector finds it.
type count struct {
	once sync.Once
	e    *Engine
}

func (c *count) giveBack() {
	c.once.Do(func() {
		c.e.detached.Add(-1)
		c.e.conns.Add(-1)
	})
}

// newHijacked returns conn, which the caller has left counted.
func newHijacked(e *Engine, conn net.Conn) *hijacked {
	e.detached.Add(1)
	h := &hijacked{conn.(streamConn), &count{e: e}}
	runtime.AddCleanup(h, (*count).giveBack, h.count)
	return h
}

// Close implements net.Conn.
func (h *hijacked) Close() error {
	defer h.count.giveBack()
	return h.streamConn.Close()
}

// WriteTo implements io.WriterTo. The system may copy by itself, as for a *net.TCPConn.
func (h *hijacked) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, h.streamConn) }

// ReadFrom implements io.ReaderFrom, as WriteTo.
func (h *hijacked) ReadFrom(r io.Reader) (int64, error) { return io.Copy(h.streamConn, r) }

// NetConn is the connection within: a *net.TCPConn, *net.UnixConn or *tls.Conn, or what has one and unread bytes before it.
func (h *hijacked) NetConn() net.Conn { return h.streamConn }
