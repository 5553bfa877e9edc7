package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/reactor/reactortest"
)

// dialFrom dials on loop 0 and returns what it fails with.
func dialFrom(t *testing.T, e *Engine, to backend.Address, o backend.DialOptions) error {
	t.Helper()
	failed := make(chan error, 1)
	onLoop(t, e.Loop(0), func() {
		returned := false
		e.Loop(0).(backend.Dialer).Dial(to, o, opener(func(c backend.Conn) backend.Stream {
			c.Close()
			failed <- nil
			return &calls{t: t}
		}), func(err error) {
			if !returned {
				t.Error("failed is called before Dial has returned")
			}
			failed <- err
		})
		returned = true
	})
	return waitFor(t, failed, "result of Dial")
}

// silent is the address of a listener that takes no connection any more, so that further ones have to wait.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(at.(*unix.SockaddrInet4).Port))
	for range 10 { // more than are queued. On a busy machine the timeout below says nothing of the queue.
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(c) })
		unix.SetNonblock(c, true)
		if err := unix.Connect(c, at); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
	}
	for range 100 {
		c, err := net.DialTimeout("tcp4", to.String(), 20*time.Millisecond)
		if err != nil {
			return to
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this system queues connections without a bound")
	return to
}

func TestRawDialFails(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	free := reactortest.FreePort(t)
	for _, c := range []struct {
		name string
		to   backend.Address
		o    backend.DialOptions
		want error
	}{
		{"nothing listens", addressOf("tcp4", free), backend.DialOptions{}, syscall.ECONNREFUSED},
		{"no socket", backend.Address{Path: filepath.Join(t.TempDir(), "none")}, backend.DialOptions{}, syscall.ENOENT},
		{"no address", backend.Address{}, backend.DialOptions{}, syscall.EADDRNOTAVAIL},
		{"not our address", addressOf("tcp4", free), backend.DialOptions{From: netip.MustParseAddr("192.0.2.1")}, syscall.EADDRNOTAVAIL},
		{"no answer", backend.Address{AddrPort: silent(t)}, backend.DialOptions{Timeout: 20 * time.Millisecond}, syscall.ETIMEDOUT},
	} {
		if err := dialFrom(t, e, c.to, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if n := e.dialed.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
	e.spool.filesMax = 0
	if err := dialFrom(t, e, addressOf("tcp4", free), backend.DialOptions{}); err != ErrTooManyConns {
		t.Errorf("no room: %v", err)
	}
}

// A timeout of Dial is one for package net too.
func TestRawDialTimeout(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	err := dialFrom(t, e, backend.Address{AddrPort: silent(t)}, backend.DialOptions{Timeout: time.Millisecond})
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
}

// After cancel nothing is called, whenever that is.
func TestRawDialCancel(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln := serveRaw(t, e, "tcp4", echo(t, nil), backend.Bounds{})
	free := reactortest.FreePort(t)
	for _, to := range []backend.Address{addressOf("tcp4", ln.Addr()), addressOf("tcp4", free), {AddrPort: silent(t)}, {}} {
		for _, later := range []bool{false, true} {
			onLoop(t, e.Loop(0), func() {
				cancelled := false
				cancel := e.Loop(0).(backend.Dialer).Dial(to, backend.DialOptions{}, opener(func(c backend.Conn) backend.Stream {
					if cancelled {
						t.Errorf("%v: opened after cancel", to)
					}
					return nil
				}), func(err error) {
					if cancelled {
						t.Errorf("%v: failed after cancel: %v", to, err)
					}
				})
				stop := func() { cancelled = true; cancel(); cancel() }
				if later {
					e.Loop(0).Post(stop)
				} else {
					stop()
				}
			})
		}
	}
	eventually(t, "nothing is left", func() bool { return e.dialed.Load() == 0 && e.Conns() == 0 })
}

// Cancel of a connection that is established does nothing.
func TestRawDialCancelTooLate(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln := serveRaw(t, e, "tcp4", echo(t, nil), backend.Bounds{})
	got := make(chan string, 1)
	onLoop(t, e.Loop(0), func() {
		var cancel func()
		cancel = e.Loop(0).(backend.Dialer).Dial(addressOf("tcp4", ln.Addr()), backend.DialOptions{}, opener(func(c backend.Conn) backend.Stream {
			cancel()
			c.Write([]byte("x"))
			return &calls{t: t, data: func(c backend.Conn) {
				got <- string(c.Unread())
				c.Close()
			}}
		}), func(err error) { t.Error(err) })
	})
	if s := waitFor(t, got, "byte"); s != "x" {
		t.Errorf("%q", s)
	}
}

// A Unix socket whose queue is full is tried again, until there is room or the time is over.
func TestRawDialUnixQueueFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, Options{Loops: 1})
	fill := func() {
		for range 100 {
			c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(c) })
			unix.SetNonblock(c, true)
			if err := unix.Connect(c, &unix.SockaddrUnix{Name: path}); err != nil {
				return
			}
		}
		t.Skip("this system queues connections without a bound")
	}
	fill()
	to := backend.Address{Path: path}
	if err := dialFrom(t, e, to, backend.DialOptions{Timeout: 50 * time.Millisecond}); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("the queue stays full: %v", err)
	}
	result := make(chan error, 1)
	go func() { result <- dialFrom(t, e, to, backend.DialOptions{Timeout: waitMost}) }()
	eventually(t, "an attempt waits", func() bool { return e.dialed.Load() == 1 })
	for range 2 {
		c, _, err := unix.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
	}
	if err := waitFor(t, result, "connection"); err != nil {
		t.Error(err)
	}
}

// An engine that stops fails the attempts that are not over.
func TestRawDialWhileStopping(t *testing.T) {
	e, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	to := silent(t)
	failed := make(chan error, 1)
	onLoop(t, e.Loop(0), func() {
		e.Loop(0).(backend.Dialer).Dial(backend.Address{AddrPort: to}, backend.DialOptions{Timeout: waitMost}, echo(t, nil), func(err error) { failed <- err })
	})
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := waitFor(t, failed, "failure"); err != ErrStopped {
		t.Error(err)
	}
}

// While an engine drains, its exchanges may still need connections. Those are not told to end.
func TestRawDialWhileDraining(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	p := dial(t, serveRaw(t, e, "tcp4", echo(t, nil), backend.Bounds{}).Addr()) // Drain waits for it
	eventually(t, "it is accepted", func() bool { return e.Conns() == 1 })
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	eventually(t, "the engine drains", e.stopping.Load)
	others := serveRaw(t, startEngine(t, Options{Loops: 1}), "tcp4", echo(t, nil), backend.Bounds{}).Addr()
	for _, tt := range []struct {
		to backend.Address
		o  backend.DialOptions
	}{
		{addressOf("tcp4", others), backend.DialOptions{}},
		{backend.Address{AddrPort: tlsEcho(t, serverConfig())}, backend.DialOptions{First: []byte(firstLine), TLS: clientConfig()}},
	} {
		result := make(chan error, 1)
		onLoop(t, e.Loop(0), func() {
			e.Loop(0).(backend.Dialer).Dial(tt.to, tt.o, opener(func(c backend.Conn) backend.Stream {
				c.Write([]byte("hello"))
				return &drainCalls{calls{t: t, drain: func(backend.Conn) { t.Error("a dialed connection is told to end") }, data: func(c backend.Conn) {
					c.Close()
				}, closed: func(_ backend.Conn, err error) { result <- err }}}
			}), func(err error) { result <- err })
		})
		if err := waitFor(t, result, "end of the connection"); err != nil {
			t.Error(err)
		}
	}
	p.Close()
	if err := waitFor(t, drained, "end of Drain"); err != nil {
		t.Error(err)
	}
}

// Both ends of a connection know its addresses.
func TestRawAddrs(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		type ends struct{ local, remote netip.AddrPort }
		accepted, dialed := make(chan ends, 1), make(chan ends, 1)
		e := startEngine(t, Options{Loops: 1})
		note := func(to chan<- ends) opener {
			return func(c backend.Conn) backend.Stream {
				local, remote := c.Addrs()
				return &calls{t: t, data: func(c backend.Conn) { c.Close() }, closed: func(c backend.Conn, _ error) {
					if l, r := c.Addrs(); l != local || r != remote {
						t.Errorf("addresses %v %v, in Closed %v %v", local, remote, l, r)
					}
					to <- ends{local, remote}
				}}
			}
		}
		ln := serveRaw(t, e, network, note(accepted), backend.Bounds{})
		o := backend.DialOptions{}
		if network == "tcp4" {
			o.From = netip.MustParseAddr("127.0.0.1")
		}
		onLoop(t, e.Loop(0), func() {
			e.Loop(0).(backend.Dialer).Dial(addressOf(network, ln.Addr()), o, opener(func(c backend.Conn) backend.Stream {
				c.Write([]byte("x"))
				c.CloseWrite()
				return note(dialed)(c)
			}), func(err error) { t.Error(err) })
		})
		a, d := waitFor(t, accepted, "end"), waitFor(t, dialed, "end")
		if a.local != d.remote || a.remote != d.local || a.local.IsValid() != (network == "tcp4") {
			t.Errorf("%s: %v and %v", network, a, d)
		}
		if network == "tcp4" && a.local.String() != ln.Addr() {
			t.Errorf("%v, want %s", a.local, ln.Addr())
		}
	}
}
