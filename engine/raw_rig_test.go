package engine

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// opener is a backend.Protocol of a function.
type opener func(c backend.Conn) backend.Stream

func (f opener) Open(c backend.Conn) backend.Stream { return f(c) }

// calls is a backend.Stream of functions. It checks that none of them is called within another one, and none after closed.
type calls struct {
	t            testing.TB
	data, room   func(c backend.Conn)
	closed       func(c backend.Conn, err error)
	drain        func(c backend.Conn)
	inside, over bool
}

func (s *calls) enter(what string) func() {
	if s.inside {
		s.t.Errorf("%s is called within another call", what)
	}
	if s.over {
		s.t.Errorf("%s is called after Closed", what)
	}
	s.inside = true
	return func() { s.inside = false }
}

func (s *calls) Data(c backend.Conn) {
	defer s.enter("Data")()
	if s.data != nil {
		s.data(c)
	}
}

func (s *calls) Room(c backend.Conn) {
	defer s.enter("Room")()
	if s.room != nil {
		s.room(c)
	}
}

func (s *calls) Closed(c backend.Conn, err error) {
	defer s.enter("Closed")()
	s.over = true
	if s.closed != nil {
		s.closed(c, err)
	}
}

// drainCalls is calls with Drain.
type drainCalls struct{ calls }

func (s *drainCalls) Drain(c backend.Conn) {
	defer s.enter("Drain")()
	s.drain(c)
}

// echo sends back what it receives, with the back-pressure that the contract asks for.
func echo(t testing.TB, closed func(c backend.Conn, err error)) backend.Protocol {
	return opener(func(c backend.Conn) backend.Stream {
		c.Follow(c)
		return &calls{t: t, closed: closed, data: func(c backend.Conn) {
			c.Write(c.Unread())
			c.Discard(len(c.Unread()))
			if c.Ended() {
				c.CloseWrite()
			}
		}}
	})
}

// startEngine starts an engine for raw connections, which must be gone at the end of the test.
func startEngine(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if e.conns.Load() != 0 || e.dialed.Load() != 0 {
			t.Errorf("%d connections and %d dialed ones left", e.conns.Load(), e.dialed.Load())
		}
		for _, l := range e.loops {
			if l.raw.pipes.used != 0 || len(l.raw.pipes.free) != 0 {
				t.Errorf("left: %d pipes in use, %d free ones", l.raw.pipes.used, len(l.raw.pipes.free))
			}
			if l.raw.conns.Len() != 0 || len(l.raw.dials) != 0 || l.pool.InUse() != 0 {
				t.Errorf("left: %d raw connections, %d dials, %d buffers", l.raw.conns.Len(), len(l.raw.dials), l.pool.InUse())
			}
		}
	})
	return e
}

// serveRaw serves p on a free port, or on a Unix socket, and returns the listener.
func serveRaw(t testing.TB, e *Engine, network string, p backend.Protocol, b backend.Bounds) *Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := e.Open(network, address, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ServeProtocol(ln, p, ProtocolOptions{Bounds: b}); err != nil {
		t.Fatal(err)
	}
	return ln
}

// addressOf is where Dial reaches a listener of the test.
func addressOf(network, at string) backend.Address {
	if network == "unix" {
		return backend.Address{Path: at}
	}
	return backend.Address{AddrPort: netip.MustParseAddrPort(at)}
}

// onLoop runs fn on a loop and waits for it.
func onLoop(t testing.TB, l backend.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	l.Post(func() { fn(); close(done) })
	waitFor(t, done, "a posted task")
}

func waitFor[T any](t testing.TB, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(waitMost):
		t.Fatalf("no %s", what)
	}
	return got
}

// noise is n bytes, of which no two parts are easily confused.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// sendAll writes b to a connection in the background and finishes sending.
func sendAll(c stream, b []byte) *sync.WaitGroup {
	var w sync.WaitGroup
	w.Go(func() {
		c.Write(b)
		c.CloseWrite()
	})
	return &w
}

// readsAll reads to the end and compares.
func readsAll(t testing.TB, c io.Reader, want []byte) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, want %d; equal up to %d", len(got), len(want), commonPrefix(got, want))
	}
}

func commonPrefix(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// conn is the connection of a peer that speaks TCP.
func (p *peer) conn() *net.TCPConn { return p.stream.(*net.TCPConn) }
