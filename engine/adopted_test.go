package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// memory is a listener without sockets: its connections are pipes in memory.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// dial returns the client's end of a new connection.
func (m *memory) dial(t *testing.T) net.Conn {
	here, there := net.Pipe()
	select {
	case m.conns <- there:
	case <-time.After(waitMost):
		t.Fatal("the engine does not accept")
	}
	t.Cleanup(func() { here.Close() })
	here.SetDeadline(time.Now().Add(waitMost))
	return here
}

// wrapped is a listener whose connections are of a type that the engine does not know.
type wrapped struct{ net.Listener }

// plainConn hides what a TCP connection is.
type plainConn struct{ *net.TCPConn }

func (w wrapped) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainConn{c.(*net.TCPConn)}, nil
}

// sources are listeners from elsewhere, each with a way to reach it.
func sources(t *testing.T) map[string]func() (net.Listener, func() net.Conn) {
	over := func(network, address string, wrap bool) func() (net.Listener, func() net.Conn) {
		return func() (net.Listener, func() net.Conn) {
			ln, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			to := ln.Addr().String()
			if wrap {
				ln = wrapped{ln}
			}
			return ln, func() net.Conn {
				c, err := net.Dial(network, to)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				c.SetDeadline(time.Now().Add(waitMost))
				return c
			}
		}
	}
	return map[string]func() (net.Listener, func() net.Conn){
		"tcp":     over("tcp4", "127.0.0.1:0", false),
		"unix":    over("unix", filepath.Join(t.TempDir(), "s"), false),
		"wrapped": over("tcp4", "127.0.0.1:0", true),
		"memory": func() (net.Listener, func() net.Conn) {
			m := newMemory()
			return m, func() net.Conn { return m.dial(t) }
		},
	}
}

// The connections of a listener from elsewhere are served like others: HTTP with its addresses, and protocols.
func TestAdopt(t *testing.T) {
	for name, source := range sources(t) {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 2})
			from, dial := source()
			ln, err := e.Adopt(from)
			if err != nil {
				t.Fatal(err)
			}
			if ln.Addr() != from.Addr().String() || !ln.InPlace() || ln.Listen() != nil {
				t.Errorf("address %s", ln.Addr())
			}
			if _, err := ln.Files(); !errors.Is(err, errors.ErrUnsupported) {
				t.Error(err)
			}
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
				t.Fatal(err)
			}
			c := dial()
			p := &peer{t: t, r: bufio.NewReader(c)}
			for range 2 {
				io.WriteString(c, get("/addrs"))
				want := "invalid AddrPort invalid AddrPort invalid AddrPort"
				if _, tcp := c.(*net.TCPConn); tcp {
					want = fmt.Sprintf("%v %v %v", c.RemoteAddr(), c.RemoteAddr(), c.LocalAddr())
				}
				if got := p.hears(200); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			c.Close()

			if err := e.ServeProtocol(ln, echo(t, nil), ProtocolOptions{}); err != nil {
				t.Fatal(err)
			}
			raw := dial()
			want := noise(1_000_000)
			var sending sync.WaitGroup
			sending.Go(func() {
				raw.Write(want)
				if half, ok := raw.(closeWriter); ok {
					half.CloseWrite()
				}
			})
			got := make([]byte, len(want))
			if _, err := io.ReadFull(raw, got); err != nil || string(got) != string(want) {
				t.Errorf("%v, equal up to %d", err, commonPrefix(got, want))
			}
			sending.Wait()
			if _, half := raw.(closeWriter); half {
				readsAll(t, raw, nil)
			}
			raw.Close()
			eventually(t, "all have ended", func() bool { return e.Conns() == 0 })

			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a closed listener: %v", err)
			}
		})
	}
}

// What the engine closes is closed for the client of a connection from elsewhere, even if that sends nothing.
func TestAdoptedCloses(t *testing.T) {
	for name, source := range sources(t) {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 1})
			from, dial := source()
			ln, err := e.Adopt(from)
			if err != nil {
				t.Fatal(err)
			}
			bye := opener(func(c backend.Conn) backend.Stream {
				c.Write([]byte("bye"))
				c.Close()
				return &calls{t: t}
			})
			if err := e.ServeProtocol(ln, bye, ProtocolOptions{Bounds: backend.Bounds{Linger: time.Millisecond}}); err != nil {
				t.Fatal(err)
			}
			readsAll(t, dial(), []byte("bye"))
			eventually(t, "it has ended", func() bool { return e.Conns() == 0 })
		})
	}
}

// A connection may be handed over by itself, and one that is not served is closed.
func TestServeConn(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	m := newMemory()
	ln, err := e.Adopt(m)
	if err != nil {
		t.Fatal(err)
	}
	give := func() net.Conn {
		here, there := net.Pipe()
		here.SetDeadline(time.Now().Add(waitMost))
		if err := ln.ServeConn(there); err != nil {
			t.Error(err)
		}
		return here
	}
	if _, err := give().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("not served: %v", err)
	}
	if err := e.ServeProtocol(ln, echo(t, nil), ProtocolOptions{}); err != nil {
		t.Fatal(err)
	}
	c := give()
	io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	c.Close()
	e.Shutdown(context.Background())
	here, there := net.Pipe()
	if err := ln.ServeConn(there); err != ErrStopped {
		t.Errorf("stopped: %v", err)
	}
	here.Close()
	if _, err := e.Adopt(m); err != ErrStopped {
		t.Errorf("stopped: %v", err)
	}
	select {
	case <-m.closed:
	default:
		t.Error("the listener is open after Shutdown")
	}
}

// stuckConn is a connection whose client sends a request, and then neither reads nor leaves.
type stuckConn struct {
	net.Conn
	request io.Reader
	closed  chan struct{}
	once    sync.Once
	taken   atomic.Int64 // bytes
	pause   time.Duration
}

func (c *stuckConn) Read(p []byte) (int, error) {
	if n, _ := c.request.Read(p); n > 0 {
		return n, nil
	}
	<-c.closed
	return 0, net.ErrClosed
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.pause == 0 {
		<-c.closed
		return 0, net.ErrClosed
	}
	time.Sleep(c.pause) // it is slow
	c.taken.Add(int64(len(p)))
	return len(p), nil
}

func (c *stuckConn) Close() error         { c.once.Do(func() { close(c.closed) }); return nil }
func (c *stuckConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
func (c *stuckConn) LocalAddr() net.Addr  { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// tardyConn is a client that sends something when the engine has ended its connection, and takes what is left a bit later.
type tardyConn struct {
	stuckConn
	ended, said chan struct{} // closed: the engine has ended; the last words were read
}

func (c *tardyConn) Read(p []byte) (int, error) {
	<-c.ended
	n, err := c.stuckConn.request.Read(p)
	if err != nil {
		<-c.closed
		return 0, net.ErrClosed
	}
	defer close(c.said)
	return n, nil
}

func (c *tardyConn) Write(p []byte) (int, error) {
	<-c.said
	for range 1000 {
		runtime.Gosched() // the last words are passed on, and refused, meanwhile
	}
	c.taken.Add(int64(len(p)))
	return len(p), nil
}

// What a client sends too late does not cost it the rest of what the engine has sent.
func TestAdoptedLate(t *testing.T) {
	const size = 60_000
	for range 5 {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ends [2]net.Conn
		for i, fd := range fds {
			f := os.NewFile(uintptr(fd), "pair")
			if ends[i], err = net.FileConn(f); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		c := &tardyConn{stuckConn{request: strings.NewReader("hello"), closed: make(chan struct{})}, make(chan struct{}), make(chan struct{})}
		over := make(chan struct{})
		go func() {
			pump(c, ends[1].(*net.UnixConn), pumpTimes{pumpCheck, pumpPatience})
			close(over)
		}()
		if _, err := ends[0].Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		ends[0].Close()
		close(c.ended)
		waitFor(t, over, "end of the connection")
		if n := c.taken.Load(); n != size {
			t.Errorf("%d bytes of %d", n, size)
		}
	}
}

// A client that takes nothing does not keep its connection from elsewhere when the engine has ended that. One that is slow gets what is left.
func TestAdoptedStuck(t *testing.T) {
	const size = 60_000
	for name, pause := range map[string]time.Duration{"stuck": 0, "slow": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 1})
			e.pumping = pumpTimes{time.Millisecond, 300}
			ln, err := e.Adopt(newMemory())
			if err != nil {
				t.Fatal(err)
			}
			bye := opener(func(c backend.Conn) backend.Stream {
				c.Write(make([]byte, size))
				c.Close()
				return &calls{t: t}
			})
			if err := e.ServeProtocol(ln, bye, ProtocolOptions{Bounds: backend.Bounds{Linger: -1}}); err != nil {
				t.Fatal(err)
			}
			c := &stuckConn{request: strings.NewReader("hello"), closed: make(chan struct{}), pause: pause}
			if err := ln.ServeConn(c); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the engine has ended it", func() bool { return e.Conns() == 0 })
			waitFor(t, c.closed, "end of the connection")
			if n := c.taken.Load(); pause > 0 && n != size {
				t.Errorf("%d bytes of %d", n, size)
			}
		})
	}
}

// moreConn is a connection whose client sends something when the engine has ended, and then takes what is sent to it.
type moreConn struct {
	stuckConn
	ended, said chan struct{}
	reads       int
}

func (c *moreConn) Read(p []byte) (int, error) {
	switch c.reads++; c.reads {
	case 1:
		<-c.ended
		return copy(p, "more"), nil
	case 2:
		close(c.said)
	}
	<-c.closed
	return 0, net.ErrClosed
}

func (c *moreConn) Write(p []byte) (int, error) {
	select {
	case <-c.said:
		c.taken.Add(int64(len(p)))
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

// A client that sends more before it takes what is still on its way to it is not kept waiting with that.
func TestAdoptedSaysMore(t *testing.T) {
	const size = 60_000
	e := startEngine(t, Options{Loops: 1})
	e.pumping.check = 20 * time.Millisecond
	ln, err := e.Adopt(newMemory())
	if err != nil {
		t.Fatal(err)
	}
	bye := opener(func(c backend.Conn) backend.Stream {
		c.Write(make([]byte, size))
		c.Close()
		return &calls{t: t}
	})
	if err := e.ServeProtocol(ln, bye, ProtocolOptions{Bounds: backend.Bounds{Linger: -1}}); err != nil {
		t.Fatal(err)
	}
	c := &moreConn{stuckConn: stuckConn{closed: make(chan struct{})}, ended: make(chan struct{}), said: make(chan struct{})}
	if err := ln.ServeConn(c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the engine has ended it", func() bool { return e.Conns() == 0 })
	close(c.ended)
	waitFor(t, c.closed, "end of the connection")
	if n := c.taken.Load(); n != size {
		t.Errorf("%d bytes of %d", n, size)
	}
}
