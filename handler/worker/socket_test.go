package worker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
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
	if _, _, err := w.control.WriteMsgUnix([]byte{shm.CtlFlush, shm.CtlDescriptor}, unix.UnixRights(fd), nil); err != nil {
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

func address(a net.Addr) shm.Address {
	if a, ok := a.(*net.TCPAddr); ok {
		ip := a.AddrPort()
		return shm.AddressOf(netip.AddrPortFrom(ip.Addr().Unmap(), ip.Port()))
	}
	return shm.Address{}
}

// connect has a raw connection served and waits until the worker has it.
func (w *worker) connect(listener uint16) *rawConn {
	w.t.Helper()
	client, server := tcpPair(w.t, "tcp4", "127.0.0.1:0")
	return w.serve(listener, client, server)
}

func (w *worker) serve(listener uint16, client, server net.Conn) *rawConn {
	w.t.Helper()
	return w.serveRaw(request{listener: listener}, client, server)
}

// serveRaw is serve with an exchange that the request describes further.
func (w *worker) serveRaw(r request, client, server net.Conn) *rawConn {
	t := w.t
	t.Helper()
	client.SetDeadline(time.Now().Add(patience))
	raw, err := server.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	c := &rawConn{client: client}
	raw.Control(func(fd uintptr) {
		r.raw, r.local, r.remote = int(fd), address(server.LocalAddr()), address(server.RemoteAddr())
		c.exchange = w.start(r)
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

// on has socket.lua do what is named, and sends more. It returns when the exchange is over.
func (w *worker) on(name, more, want string) {
	w.t.Helper()
	c := w.connect(0)
	c.sendEnd(name + "\n" + more)
	got, err := c.read()
	if want = strings.TrimPrefix(want, "\n"); got != want || err != nil {
		w.t.Errorf("%s: client read\n%s%v; want\n%s\nstderr: %s", name, got, err, want, w.stderr)
	}
	c.over(0)
}

func TestSocketFields(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	const rest = "nil nil nil userdata socket: X\nown 2 true false\nindex is nil\n"
	for _, c := range []struct{ name, network, address, want string }{
		{"IPv4", "tcp4", "127.0.0.1:0", "7f000001 nil number P\n7f000001 nil number Q\n"},
		{"IPv6", "tcp6", "[::1]:0", "nil 00000000000000000000000000000001 number P\n" +
			"nil 00000000000000000000000000000001 number Q\n"},
		{"Unix", "", "", "nil nil nil nil\nnil nil nil nil\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var client, server net.Conn
			want := c.want
			if c.network == "" {
				client, server = unixPair(t)
			} else {
				client, server = tcpPair(t, c.network, c.address)
				_, p, _ := net.SplitHostPort(server.LocalAddr().String())
				_, q, _ := net.SplitHostPort(client.LocalAddr().String())
				want = strings.NewReplacer("P", p, "Q", q).Replace(want)
			}
			r := w.serve(0, client, server)
			r.sendEnd("fields\n")
			got, err := r.read()
			if got != want+rest || err != nil {
				t.Errorf("%q, %v; want %q", got, err, want+rest)
			}
			r.over(0)
		})
	}
}

func TestSocketAliases(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	w.on("alias", "one\nabc12.5 x\nline\nlast\nab;cdef;\x00end", "\none abc 12.5  x\n\n<line>\n<last>\nab; cde f;\x00end\n"+
		"a12.5btrue true\ntrue\n")
}

func TestSocketMisuse(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	w.on("keep", "a line\n", "a line\n")
	c := w.connect(0)
	c.sendEnd("misuse\n")
	got, err := c.read()
	c.over(0)
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	const over = `socket: the exchange is over: its handler has returned$`
	const at, colon = `^false testdata/socket\.lua:\d+: `, `bad argument #1 to '\S+' \(socket expected: call it as a method, with a colon\)$`
	for i, want := range []string{
		at + colon, at + colon, at + colon, at + colon,
		at + `read: unknown format 'x'; valid formats are "\*l", "\*L", "\*n", "\*a" and numbers of bytes$`,
		at + `write: argument 1 must be a string or a number, not a table$`,
		at + `close: timeout must be a number of seconds, not a string$`,
		at + `close: timeout is out of range \(0 to 1e9 seconds\)$`,
		at + `close: timeout is out of range \(0 to 1e9 seconds\)$`,
		at + over, at + over, at + over,
		`^socket: X$`,
		`^closed file false testdata/socket\.lua:\d+: attempt to use a closed file$`,
	} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d of\n%s%v: want %s", i+1, got, err, want)
			break
		}
	}
}

func TestSocketClose(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	w.on("close", "", "before")
	w.stderr.wait(t, "close true true true\nthen closed file closed file socket (closed): X true\n")
	for _, method := range []string{"read", "write", "flush", "lines", "readuntil"} {
		w.stderr.wait(t, ": "+method+": the socket is closed\n")
	}
	w.on("close_wait", "", strings.Repeat("x", 100000))
	w.stderr.wait(t, "closed: true\n")
	// Unread input does not make the kernel reset the connection.
	w.on("unread", strings.Repeat("y", 50000), "y the rest is not read\n")
	w.on("half_close", "some line\n", "output ends\n")
	w.stderr.wait(t, "then read some line\n")
}

// narrow makes a connection with next to no room for what the client does not read.
func narrow(t testing.TB, sendBuffer int) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	}}
	if client, err = d.Dial("tcp4", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	server.(*net.TCPConn).SetWriteBuffer(sendBuffer)
	return client, server
}

// A peer that does not read is reset when the time is over, wherever the output is by then.
func TestSocketCloseTimeout(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	for i, sendBuffer := range []int{1, 1 << 20} {
		client, server := narrow(t, sendBuffer)
		c := w.serve(0, client, server)
		c.send("close_late\n")
		c.over(0)
		w.stderr.wait(t, strings.Repeat("closed: nil Connection timed out\n", i+1))
		if got := c.expectReset(); len(got) >= 30000 {
			t.Errorf("client read %d bytes", len(got))
		}
	}
}

// Data that the kernel has no room for goes out while the worker serves others, and before it ends.
func TestSocketCloseInBackground(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	client, server := narrow(t, 1)
	c := w.serve(0, client, server)
	c.send("close_background\n")
	c.over(0)
	w.on("unread", "y", "y the rest is not read\n")
	w.mem.InWorker(w.slot).Quit.Store(1)
	w.ring()
	w.stderr.wait(t, "finish\n")
	c.expect(strings.Repeat("x", 30000) + "the end")
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
}

// A peer that takes output too slowly for its socket to have room has as much time as it needs. When it takes nothing more, the time ends.
func TestSocketSendsPatiently(t *testing.T) {
	_, server := narrow(t, 1)
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const times = 20
	raw.Control(func(fd uintptr) {
		looks, err := sendPatiently(int(fd), strings.Repeat("x", 1<<20), time.Millisecond, times)
		if looks <= times || !errors.Is(err, unix.ETIMEDOUT) {
			t.Errorf("looked %d times, then %v; want more than %d, and a timeout", looks, err, times)
		}
	})
}

func TestSocketCancel(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	c := w.connect(0)
	c.send("cancel\n")
	if got := c.expectReset(); got != "" {
		t.Errorf("client read %q", got)
	}
	c.over(0)
	w.stderr.wait(t, "cancelled: true closed file\n")
}

func TestSocketPeerGone(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	c := w.connect(0)
	c.send("gone\n")
	c.client.(*net.TCPConn).SetLinger(0)
	c.client.Close()
	c.over(0)
	w.stderr.wait(t, "\n")
	if s := w.stderr.String(); s != "write: nil Broken pipe 32\n" && s != "write: nil Connection reset by peer 104\n" {
		t.Errorf("standard error: %s", s)
	}
	w.on("unread", "y", "y the rest is not read\n") // the worker lives on
}

// What the handler returned or raised decides about worker and connection.
func TestSocketEnd(t *testing.T) {
	for _, c := range []struct {
		name, reads, stderr string
		reset               bool
		result              uint32
	}{
		{"retire", "", "finish\n", false, shm.ResultRetire},
		{"fail", "", "connection: testdata/socket.lua:", true, shm.ResultRetire},
		{"fail after close", "all\n", "connection: testdata/socket.lua:", false, shm.ResultRetire},
	} {
		w := mustLoad(t, "socket.lua").fork(0, small)
		r := w.connect(0)
		r.send(c.name + "\n")
		got, err := r.read()
		if got != c.reads || errors.Is(err, unix.ECONNRESET) != c.reset {
			t.Errorf("%s: client read %q, %v", c.name, got, err)
		}
		r.over(c.result)
		if status := w.wait(); status != 0 {
			t.Errorf("%s: worker ended with %#x", c.name, status)
		}
		if s := w.stderr.all(t); !strings.HasPrefix(s, c.stderr) ||
			strings.Count(s, ": handler failed\nstack traceback:") != strings.Count(c.name, "fail") || strings.Contains(s, "finish\n") != (c.name == "retire") {
			t.Errorf("%s: standard error: %s", c.name, s)
		}
	}
}

// A worker that ends in the middle does not look like one that has said everything.
func TestSocketWorkerDies(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	r := w.connect(0)
	r.send("exit\n")
	r.expectReset()
	if status := w.wait(); status.ExitStatus() != 9 {
		t.Errorf("worker ended with %#x", status)
	}
}

// A worker that has got the socket asks no more: the server ends one that waits for long.
func TestSocketTaken(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	r := w.connect(0)
	for end := time.Now().Add(patience); r.out.Flags.Load()&shm.OutDescriptorWanted != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it still asks")
		}
	}
	r.send("exit\n")
	r.expectReset()
}

// A connection that is taken back while the worker waits for its socket ends the exchange, and a socket that comes then is
// nobody's.
func TestSocketWithdrawn(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	client, server := tcpPair(t, "tcp4", "127.0.0.1:0")
	client.SetDeadline(time.Now().Add(patience))
	e := w.start(request{raw: -1})
	e.until("question", func() bool { return e.out.Flags.Load()&shm.OutDescriptorWanted != 0 })
	e.flags = shm.InCancel
	e.feed()
	if r := e.finish(); r.result != shm.ResultDone|shm.ResultRetire {
		t.Errorf("result %#x", r.result)
	}
	raw, err := server.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		w.control.WriteMsgUnix([]byte{shm.CtlDescriptor}, unix.UnixRights(int(fd)), nil) // it may be gone already
	})
	server.Close()
	if b, err := io.ReadAll(client); len(b) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("client read %q, %v", b, err)
	}
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
}

// A descriptor that was not asked for is closed, and the exchange after it gets its own.
func TestSocketUnasked(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	client, server := tcpPair(t, "tcp4", "127.0.0.1:0")
	client.SetDeadline(time.Now().Add(patience))
	raw, err := server.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { w.hand(int(fd)) })
	server.Close()
	if b, err := io.ReadAll(client); len(b) > 0 || err != nil {
		t.Errorf("client read %q, %v", b, err)
	}
	w.on("unread", "y", "y the rest is not read\n")
}

func TestSocketDescriptors(t *testing.T) {
	w := mustLoad(t, "socket.lua").fork(0, small)
	w.on("unread", "y", "y the rest is not read\n")
	before := descriptors(t, w.pid)
	for _, name := range []string{"unread", "half_close", "close", "keep"} {
		c := w.connect(0)
		c.sendEnd(name + "\ny\n")
		c.read()
		c.over(0)
	}
	c := w.connect(0)
	c.send("cancel\n")
	c.expectReset()
	c.over(0)
	if after := descriptors(t, w.pid); after != before {
		t.Errorf("%d descriptors; want %d", after, before)
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestRequestSocket(t *testing.T) {
	w := mustLoad(t, "request_socket.lua").fork(0, small)
	r := request{head: "GET /", local: shm.Address{Family: 4, Port: 80, IP: [16]byte{127, 0, 0, 1}},
		remote: shm.Address{Family: 4, Port: 5000, IP: [16]byte{127, 0, 0, 2}}}
	want := "true true nil 5000 true 80 nil\nown\n"
	for _, name := range []string{"input", "output", "read", "write", "flush", "lines", "readuntil", "close"} {
		want += name + ": the server reads and writes this connection; only sockets of raw connect handlers can be read or written\n"
	}
	position := regexp.MustCompile(`testdata/request_socket\.lua:\d+: `)
	for i := range 2 {
		if got := position.ReplaceAllString(w.do(r).body(), ""); got != want {
			t.Errorf("request %d:\n%s; want\n%s", i, got, want)
		}
		if i == 0 {
			want += "socket: the exchange is over: its handler has returned\nsocket: the exchange is over: its handler has returned\n"
		}
	}
}

func TestRequestSocketCancel(t *testing.T) {
	for _, path := range []string{"cancel", "cancel_late"} {
		w := mustLoad(t, "request_socket.lua").fork(0, small)
		e := w.start(request{head: "GET /" + path})
		r := e.finish()
		if r.result != shm.ResultDone|shm.ResultReset || e.out.Flags.Load()&shm.OutReset == 0 {
			t.Errorf("%s: result %#x, flags %#x", path, r.result, e.out.Flags.Load())
		}
		w.quit()
		if s := w.stderr.all(t); s != strings.Repeat("client has closed the connection\n", 5) {
			t.Errorf("%s: standard error: %s", path, s)
		}
	}
}
