package lua

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// hand sends a descriptor that a raw exchange has asked for.
func (w *worker) hand(fd int) {
	w.t.Helper()
	if _, _, err := w.control.WriteMsgUnix([]byte{shm.CtlFlush, shm.CtlSocket}, unix.UnixRights(fd), nil); err != nil {
		w.t.Fatal(err)
	}
}

// rawConn is a raw connection in the hands of a worker: the exchange, and the client's end.
type rawConn struct {
	*exchange
	client net.Conn
}

// tcpPair makes a connection on 127.0.0.1.
func tcpPair(t testing.TB, network, address string) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("cannot listen at %s: %v", address, err)
	}
	defer l.Close()
	if client, err = net.DialTimeout(network, l.Addr().String(), patience); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// unixPair makes a connection of Unix sockets.
func unixPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ours, theirs := socketpair(t)
	defer theirs.Close()
	t.Cleanup(func() { ours.Close() })
	server, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	return ours, server
}

func address(a net.Addr) (to shm.Address) {
	if a, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); ip.Is4() {
			to.Family = 4
		} else {
			to.Family = 6
		}
		to.Port = uint16(a.Port)
		copy(to.IP[:], ip.AsSlice())
	}
	return to
}

// connect has a raw connection served and waits until the worker has it.
func (w *worker) connect(listener uint16) *rawConn {
	w.t.Helper()
	client, server := tcpPair(w.t, "tcp4", "127.0.0.1:0")
	return w.serve(listener, client, server)
}

func (w *worker) serve(listener uint16, client, server net.Conn) *rawConn {
	t := w.t
	t.Helper()
	client.SetDeadline(time.Now().Add(patience))
	raw, err := server.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	c := &rawConn{client: client}
	raw.Control(func(fd uintptr) {
		c.exchange = w.start(request{listener: listener, raw: int(fd), local: address(server.LocalAddr()),
			remote: address(server.RemoteAddr())})
		c.until("handover", func() bool { return c.handed })
	})
	server.Close()
	return c
}

// read reads to the end; err is what ended it other than that.
func (c *rawConn) read() (string, error) {
	b, err := io.ReadAll(c.client)
	return string(b), err
}

// expect reads to the end and compares.
func (c *rawConn) expect(want string) {
	c.w.t.Helper()
	if got, err := c.read(); got != want || err != nil {
		c.w.t.Errorf("client read %q, %v; want %q\nstderr: %s", got, err, want, c.w.stderr)
	}
}

// expectReset reads until the connection is reset.
func (c *rawConn) expectReset() string {
	c.w.t.Helper()
	got, err := c.read()
	if !errors.Is(err, unix.ECONNRESET) {
		c.w.t.Errorf("client read %q, %v; want a reset\nstderr: %s", got, err, c.w.stderr)
	}
	return got
}

func (c *rawConn) send(s string) {
	c.w.t.Helper()
	if _, err := io.WriteString(c.client, s); err != nil {
		c.w.t.Fatal(err)
	}
}

func (c *rawConn) sendEnd(s string) {
	c.w.t.Helper()
	c.send(s)
	if err := c.client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.w.t.Fatal(err)
	}
}

// over plays the exchange to its end.
func (c *rawConn) over(want uint32) {
	c.w.t.Helper()
	if r := c.finish(); r.result != shm.ResultDone|want || r.text != "" {
		c.w.t.Errorf("result %#x, output %q; want %#x\nstderr: %s", r.result, r.text, shm.ResultDone|want, c.w.stderr)
	}
}

func TestSocketEcho(t *testing.T) {
	w := mustLoad(t, "echo.lua").fork(0, small)
	for range 3 {
		for _, pair := range []func() (net.Conn, net.Conn){
			func() (net.Conn, net.Conn) { return tcpPair(t, "tcp4", "127.0.0.1:0") },
			func() (net.Conn, net.Conn) { return unixPair(t) },
		} {
			client, server := pair()
			c := w.serve(0, client, server)
			data := strings.Repeat("0123456789abcdef", 20000)
			go func() { // a half-closed client gets its answer
				io.WriteString(client, data)
				client.(interface{ CloseWrite() error }).CloseWrite()
			}()
			c.expect(data)
			c.over(0)
		}
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
	if s := w.stderr.all(t); s != "" {
		t.Errorf("standard error: %s", s)
	}
}
