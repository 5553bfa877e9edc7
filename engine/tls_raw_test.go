package engine

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

func openTLS(t *testing.T, e *Engine) *Listener {
	t.Helper()
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetTLS(&TLS{Config: serverConfig()})
	return ln
}

// serveSocketsTLS serves raw connections with a backend that hands them to the test.
func serveSocketsTLS(t *testing.T, e *Engine) (*Listener, *socketTaker) {
	t.Helper()
	ln := openTLS(t, e)
	b := &socketTaker{taken: make(chan *net.UnixConn, 1), remotes: make(chan netip.AddrPort, 10)}
	if err := e.ServeSockets(ln, b, 0); err != nil {
		t.Fatal(err)
	}
	return ln, b
}

func serveRawTLS(t *testing.T, e *Engine, p backend.Protocol, b backend.Bounds) string {
	t.Helper()
	ln := openTLS(t, e)
	if err := e.ServeProtocol(ln, p, ProtocolOptions{Bounds: b}); err != nil {
		t.Fatal(err)
	}
	return ln.Addr()
}

// A Protocol works over TLS as it does without: large data in both directions, half-close, and a proper end.
func TestTLSProtocol(t *testing.T) {
	e := startEngine(t, Options{Loops: 2})
	ended := make(chan error, 1)
	addr := serveRawTLS(t, e, echo(t, func(_ backend.Conn, err error) { ended <- err }), backend.Bounds{Input: 5000, Output: 10_000})
	p := dialTLS(t, addr, clientConfig())
	sent := strings.Repeat("0123456789", 300_000)
	go func() {
		io.WriteString(p, sent)
		p.CloseWrite()
	}()
	got, err := io.ReadAll(p.r)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes came back: %v", len(got), err)
	}
	if err := waitFor(t, ended, "end"); err != nil {
		t.Errorf("closed with %v", err)
	}
}

// A connection that ends without a word in TLS may have been cut by somebody else, so that is an error.
func TestTLSProtocolCut(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ended := make(chan error, 1)
	addr := serveRawTLS(t, e, echo(t, func(_ backend.Conn, err error) { ended <- err }), backend.Bounds{})
	p := dialTLS(t, addr, clientConfig())
	io.WriteString(p, "hello")
	io.ReadFull(p.r, make([]byte, 5))
	p.stream.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).CloseWrite()
	if err := waitFor(t, ended, "end"); err == nil {
		t.Error("closed without an error")
	}
}

func TestTLSProtocolState(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	names := make(chan string, 1)
	addr := serveRawTLS(t, e, opener(func(c backend.Conn) backend.Stream {
		names <- backend.TLSOf(c).ServerName
		c.Close()
		return &calls{t: t}
	}), backend.Bounds{})
	p := dialTLS(t, addr, clientConfig())
	if name := waitFor(t, names, "name"); name != "localhost" {
		t.Errorf("name %q", name)
	}
	p.hearsEnd()
}

// A connection that leaves the loop keeps its TLS, with what was read and what was not sent.
func TestTLSDetach(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	detached := make(chan net.Conn, 1)
	big := strings.Repeat("0123456789", 1_000_000)
	addr := serveRawTLS(t, e, opener(func(c backend.Conn) backend.Stream {
		return &calls{t: t, data: func(c backend.Conn) {
			c.Write([]byte(big)) // more than the sockets take
			conn, err := c.Detach()
			if err != nil {
				t.Error(err)
			}
			detached <- conn
		}}
	}), backend.Bounds{})
	p := dialTLS(t, addr, clientConfig())
	io.WriteString(p, "hello")
	conn := waitFor(t, detached, "detached connection")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(waitMost))
	go func() {
		io.WriteString(p, " again")
		p.CloseWrite()
	}()
	go func() {
		got, err := io.ReadAll(conn)
		io.WriteString(conn, string(got)+errorText(err))
		conn.Close()
	}()
	got, err := io.ReadAll(p.r)
	if want := big + "hello again"; err != nil || string(got) != want {
		t.Errorf("%d bytes of %d, the same: %v; %v", len(got), len(want), string(got) == want, err)
	}
}

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// socketTaker is a backend that takes raw connections, and hands them to the test.
type socketTaker struct {
	taken   chan *net.UnixConn
	remotes chan netip.AddrPort
	err     error
}

func (b *socketTaker) Attach(backend.Loop) (backend.LoopBackend, error) {
	return &struct {
		testLoopBackend
		socketTakerLoop
	}{socketTakerLoop: socketTakerLoop{b}}, nil
}

type socketTakerLoop struct{ b *socketTaker }

func (l socketTakerLoop) StartSocket(fd, index int, local, remote netip.AddrPort) error {
	if l.b.err != nil {
		return l.b.err
	}
	conn, err := connOf(fd)
	if err != nil {
		return err
	}
	l.b.taken <- conn.(*net.UnixConn)
	l.b.remotes <- remote
	return nil
}

// connOf is a net.Conn of the descriptor, which it takes over.
func connOf(fd int) (net.Conn, error) {
	file := fileOf(fd)
	defer file.Close()
	return net.FileConn(file)
}

// A backend of raw connections gets a socket without TLS. Large data passes in both directions, and so do the ends.
func TestTLSSockets(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, b := serveSocketsTLS(t, e)
	p := dialTLS(t, ln.Addr(), clientConfig())
	worker := waitFor(t, b.taken, "connection")
	defer worker.Close()
	if remote := <-b.remotes; remote.String() != p.LocalAddr().String() {
		t.Errorf("remote address %v, want %v", remote, p.LocalAddr())
	}
	onLoop(t, e.Loop(0), func() {
		if n := e.Conns(); n != 2 {
			t.Errorf("with its pair, the connection counts as %d", n)
		}
	})
	sent := strings.Repeat("0123456789", 300_000)
	go func() {
		io.WriteString(p, sent)
		p.CloseWrite()
	}()
	go func() {
		io.Copy(worker, worker) // to the end of what the client sends
		worker.CloseWrite()
	}()
	got, err := io.ReadAll(p.r)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes came back: %v", len(got), err)
	}

	if err := e.ServeSockets(ln, &socketTaker{err: errors.New("no")}, 0); err != nil {
		t.Fatal(err)
	}
	q := dialTLS(t, ln.Addr(), clientConfig())
	if _, err := io.Copy(io.Discard, q.r); err == nil {
		t.Error("a refused connection has ended as if all were sent")
	}
}

// The end of one side of a relay is the end of the other, and an end in the middle does not look like one at the end.
func TestTLSSocketsBreakOff(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, b := serveSocketsTLS(t, e)
	p := dialTLS(t, ln.Addr(), clientConfig())
	worker := waitFor(t, b.taken, "connection")
	io.WriteString(worker, "hello")
	worker.Close()
	if got, err := io.ReadAll(p.r); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	p.Close()

	p = dialTLS(t, ln.Addr(), clientConfig())
	worker = waitFor(t, b.taken, "connection")
	defer worker.Close()
	raw := p.stream.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
	raw.SetLinger(0)
	raw.Close()
	worker.SetDeadline(time.Now().Add(waitMost))
	io.Copy(io.Discard, bufio.NewReader(worker)) // it ends
	await(t, "both ends are closed", func() bool { return e.Conns() == 0 })
	if _, err := worker.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write after the end: %v", err)
	}
}

// What a client has sent, up to its end, reaches the backend, also if the client resets the connection then.
func TestTLSSocketsResetAfterTheEnd(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, b := serveSocketsTLS(t, e)
	p := dialTLS(t, ln.Addr(), clientConfig())
	worker := waitFor(t, b.taken, "connection")
	defer worker.Close()
	worker.SetDeadline(time.Now().Add(waitMost))
	sent := pattern(400_000) // the pair of sockets takes less
	io.WriteString(p, sent)
	p.CloseWrite()
	await(t, "the end has come", func() (ended bool) {
		onLoop(t, e.Loop(0), func() {
			for _, c := range e.loops[0].tls.twin.raw.all() {
				ended = c.Ended()
			}
		})
		return ended
	})
	raw := p.stream.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
	raw.SetLinger(0)
	raw.Close()
	await(t, "the client's connection ends", func() bool { return e.Conns() <= 1 })
	if got, err := io.ReadAll(worker); string(got) != sent || err != nil {
		t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
	}
}

func fileOf(fd int) *os.File { return os.NewFile(uintptr(fd), "connection") }
