package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// rawBackend takes raw connections. It sends their addresses, and then echoes what it receives.
type rawBackend struct {
	mu      sync.Mutex
	started int
	refuse  error
	done    sync.WaitGroup
}

func (b *rawBackend) Attach(backend.Loop) (backend.LoopBackend, error) { return b, nil }

func (b *rawBackend) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	return nil, errors.New("no HTTP on this listener")
}

func (b *rawBackend) StartSocket(fd int, listener int, local, remote netip.AddrPort) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	b.started++
	f := os.NewFile(uintptr(fd), "raw")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		panic(err)
	}
	b.done.Go(func() {
		defer c.Close()
		fmt.Fprintf(c, "%d %v %v\n", listener, local, remote)
		io.Copy(c, c)
	})
	return nil
}

// startRaw serves the backend on one address.
func startRaw(t *testing.T, o Options, network, address string, b backend.Backend) (*Engine, string) {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ln, err := e.Open(network, address, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ServeSockets(ln, b, 7); err != nil {
		t.Fatal(err)
	}
	return e, ln.Addr()
}

// listensAt are addresses of every kind, how peers reach them, and the host that peers dial.
var listensAt = []struct {
	name, network, address, dialNetwork string
	host                                string
}{
	{"one address", "tcp4", "127.0.0.1:0", "tcp4", "127.0.0.1"},
	{"all of IPv4", "tcp4", "0.0.0.0:0", "tcp4", "127.0.0.1"},
	{"one of IPv6", "tcp6", "[::1]:0", "tcp6", "::1"},
	{"all of IPv6", "tcp6", "[::]:0", "tcp6", "::1"},
	{"both, from IPv6", "tcp", "[::]:0", "tcp6", "::1"},
	{"both, from IPv4", "tcp", "[::]:0", "tcp4", "127.0.0.1"},
}

// withFamily skips a test on machines without IPv6.
func withFamily(t *testing.T, network string) {
	t.Helper()
	if network == "tcp4" {
		return
	}
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on this machine: ", err)
	}
	ln.Close()
}

// A backend gets raw connections with their addresses, and the engine does not count them.
func TestServeSockets(t *testing.T) {
	for _, at := range listensAt {
		t.Run(at.name, func(t *testing.T) {
			withFamily(t, at.network)
			b := &rawBackend{}
			e, addr := startRaw(t, Options{Loops: 2}, at.network, at.address, b)
			_, port, _ := net.SplitHostPort(addr)
			for range 5 {
				p := dialOn(t, at.dialNetwork, net.JoinHostPort(at.host, port))
				want := "7 " + p.RemoteAddr().String() + " " + p.LocalAddr().String() + "\n"
				if line, err := p.r.ReadString('\n'); line != want {
					t.Errorf("line %q, %v, want %q", line, err, want)
				}
				p.say("there and back\n")
				if line, _ := p.r.ReadString('\n'); line != "there and back\n" {
					t.Errorf("line %q", line)
				}
				if n := e.Conns(); n != 0 {
					t.Errorf("%d connections of the engine's", n)
				}
				p.CloseWrite()
				p.hearsEnd()
			}
			b.done.Wait()
		})
	}
}

func TestServeSocketsUnix(t *testing.T) {
	b := &rawBackend{}
	_, addr := startRaw(t, Options{Loops: 2}, "unix", filepath.Join(t.TempDir(), "socket"), b)
	p := dialOn(t, "unix", addr)
	if line, err := p.r.ReadString('\n'); line != "7 invalid AddrPort invalid AddrPort\n" {
		t.Errorf("line %q, %v", line, err)
	}
	p.CloseWrite()
	p.hearsEnd()
	b.done.Wait()
}

// Connections that were handed over stay open when the engine has ended.
func TestServeSocketsShutdown(t *testing.T) {
	b := &rawBackend{}
	e, addr := startRaw(t, Options{Loops: 1}, "tcp4", "127.0.0.1:0", b)
	p := dial(t, addr)
	p.r.ReadString('\n')
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	p.say("still there\n")
	if line, _ := p.r.ReadString('\n'); line != "still there\n" {
		t.Errorf("line %q", line)
	}
	p.CloseWrite()
	p.hearsEnd()
	b.done.Wait()
}

func TestServeSocketsWithoutBackend(t *testing.T) {
	e, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := &testBackend{window: 64}
	if err := e.ServeSockets(ln, b, 0); !errors.Is(err, ErrNoSockets) {
		t.Errorf("error %v", err)
	}
	// The listener can still be served.
	if err := e.Serve(ln, b, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	p := dial(t, ln.Addr())
	p.say(get("/hello"))
	p.hears(200)
	p.Close()
}

// wantReset connects and wants a reset, while connecting or after.
func wantReset(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitMost))
		_, err = io.Copy(io.Discard, c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a reset", err)
	}
}

// A connection that the backend refuses, or that is above the limit, is reset. The log says so, but not once for each.
func TestSocketsRefused(t *testing.T) {
	var out lockedBuffer
	o := Options{Loops: 1, MaxConns: 1, Logger: slog.New(slog.NewTextHandler(&out, nil))}
	b := &rawBackend{refuse: backend.ErrQueueFull}
	e, addr := startRaw(t, o, "tcp4", "127.0.0.1:0", b)
	for range 20 {
		wantReset(t, addr)
	}
	e.tally.Flush()
	if text := out.String(); !strings.Contains(text, `msg="connections refused" cause=queue_limit count=1 total=1`) ||
		!strings.Contains(text, "total=20 client=127.0.0.1:") || strings.Count(text, "\n") > 10 {
		t.Errorf("log: %s", text)
	}
	b.mu.Lock()
	b.refuse = nil
	b.mu.Unlock()
	// Open raw connections do not count towards the limit.
	for range 3 {
		p := dial(t, addr)
		p.r.ReadString('\n')
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	p := dial(t, ln.Addr())
	p.say(get("/hello"))
	p.hears(200)
	before := b.count()
	wantReset(t, addr)
	if b.count() != before {
		t.Error("a connection above the limit has reached the backend")
	}
}

func (b *rawBackend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.started
}

// lockedBuffer is a buffer for logs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An exchange has the addresses of its connection, IPv4 ones in their own form on every socket.
func TestAddrs(t *testing.T) {
	for _, at := range listensAt {
		t.Run(at.name, func(t *testing.T) {
			withFamily(t, at.network)
			e, err := New(Options{Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Shutdown(context.Background())
			ln, err := e.Open(at.network, at.address, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(ln.Addr())
			for range 3 {
				p := dialOn(t, at.dialNetwork, net.JoinHostPort(at.host, port))
				local, remote := p.RemoteAddr().String(), p.LocalAddr().String()
				want := fmt.Sprintf("%s %s %s", local, local, remote)
				for range 2 {
					p.say(get("/addrs"))
					if got := p.hears(200); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				p.Close()
			}
		})
	}
}

func TestAddrsUnix(t *testing.T) {
	e, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("unix", filepath.Join(t.TempDir(), "socket"), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	p := dialOn(t, "unix", ln.Addr())
	p.say(get("/addrs"))
	if got := p.hears(200); got != `invalid AddrPort invalid AddrPort invalid AddrPort` {
		t.Errorf("got %q", got)
	}
	p.Close()
}

// The number of local addresses that are remembered is bounded; others are still found.
func TestLocalsBounded(t *testing.T) {
	a := &addrs{}
	for i := range 2 * localsMax {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
		n := a.remember(at)
		if i < localsMax && a.seen[n-1] != at || i >= localsMax && n != 0 {
			t.Fatalf("address %d has number %d", i, n)
		}
		if again := a.remember(at); again != n {
			t.Fatalf("address %d has numbers %d and %d", i, n, again)
		}
	}
	if a.remember(netip.AddrPort{}) != 0 {
		t.Error("an invalid address is remembered")
	}
}

// A handler may reset the connection at any time. The peer gets no end of file, and nothing that was still unsent.
func TestResetByHandler(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{}, b)
	for _, n := range []int{0, 10, 64 << 10, 32 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := dial(t, addr)
			p.say(get(fmt.Sprint("/reset/", n)))
			p.hearsReset()
			p.Close()
		})
	}
	t.Run("in the middle of an upload", func(t *testing.T) {
		p := dial(t, addr)
		p.say("POST /reset/10 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc")
		p.hearsReset()
		p.Close()
	})
	if n := b.count(&b.cancelled); n != 0 {
		t.Errorf("%d exchanges were cancelled after they had ended", n)
	}
	p := dial(t, addr)
	p.say(get("/hello"))
	p.hears(200)
}
