package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/reactor/reactortest"
)

// connected waits on a loop until an attempt to connect is over. The descriptor stays with the loop.
func connected(t testing.TB, l *Loop, fd int) error {
	t.Helper()
	result := make(chan error, 1)
	on(t, l, func() {
		done := false
		if err := l.Add(fd, ready(func(Readiness) {
			if err := ConnectResult(fd); !done && !errors.Is(err, syscall.EINPROGRESS) {
				done = true
				result <- err
			}
		})); err != nil {
			t.Error(err)
		}
	})
	return wait(t, result, "result of connect")
}

func addrPortOf(ln *Listener) netip.AddrPort { return ln.Addr().(*net.TCPAddr).AddrPort() }

func TestConnect(t *testing.T) {
	for _, c := range []struct {
		network, address string
		from             netip.Addr
	}{
		{"tcp4", "127.0.0.1:0", netip.Addr{}},
		{"tcp4", "127.0.0.1:0", netip.MustParseAddr("127.0.0.1")},
		{"tcp6", "[::1]:0", netip.Addr{}},
		{"tcp6", "[::1]:0", netip.MustParseAddr("::1")},
	} {
		ln, err := OpenListener(c.network, c.address, ListenOptions{})
		if err != nil && c.network == "tcp6" {
			t.Logf("no IPv6: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		serve(t, ln, newEcho)
		l := startLoop(t, Options{})
		fd, err := Connect(addrPortOf(ln), c.from)
		if err != nil {
			t.Fatal(err)
		}
		if err := connected(t, l, fd); err != nil {
			t.Errorf("%s: %v", c.network, err)
		}
		if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
			t.Errorf("TCP_NODELAY is %d, %v", v, err)
		}
		if got := peerAddr(fd); got.Port() != addrPortOf(ln).Port() {
			t.Errorf("connected to %v", got)
		}
		if c.from.IsValid() && LocalAddr(fd).Addr() != c.from {
			t.Errorf("from %v, want %v", LocalAddr(fd), c.from)
		}
	}
}

func TestConnectUnix(t *testing.T) {
	ln := listen(t, "unix", filepath.Join(t.TempDir(), "s"), ListenOptions{})
	serve(t, ln, newEcho)
	l := startLoop(t, Options{})
	fd, err := ConnectUnix(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := connected(t, l, fd); err != nil {
		t.Error(err)
	}
}

func TestConnectFails(t *testing.T) {
	closed := netip.MustParseAddrPort(reactortest.FreePort(t))
	l := startLoop(t, Options{})
	fd, err := Connect(closed, netip.Addr{})
	if err == nil {
		err = connected(t, l, fd)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nothing listens: %v", err)
	}
	if _, err := Connect(closed, netip.MustParseAddr("::1")); !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("from another family: %v", err)
	}
	if _, err := Connect(closed, netip.MustParseAddr("192.0.2.1")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("from an address of another machine: %v", err)
	}
	if _, err := ConnectUnix(filepath.Join(t.TempDir(), "none")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no socket: %v", err)
	}
	if err := ConnectResult(-1); !errors.Is(err, syscall.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}

// A socket that is connected to itself is not a connection to a server.
func TestConnectToItself(t *testing.T) {
	fd, err := openSocket(unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, _ := sockaddrOf(LocalAddr(fd))
	if err := beginConnect(fd, at); err != nil {
		t.Fatal(err)
	}
	if err := ConnectResult(fd); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connected to itself: %v", err)
	}
}

// While the queue of a Unix socket is full, ConnectUnix says that it may be tried again.
func TestConnectUnixQueueFull(t *testing.T) {
	if !batchesKnown {
		t.Skip("these systems refuse the connection")
	}
	path := filepath.Join(t.TempDir(), "s")
	fd, err := openSocket(unix.AF_UNIX)
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
	for range 100 {
		c, err := ConnectUnix(path)
		if errors.Is(err, syscall.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
	}
	t.Error("the queue never filled")
}

func TestHungUp(t *testing.T) {
	a, b := pair(t)
	defer unix.Close(a)
	if HungUp(a) {
		t.Error("a connection that is open")
	}
	ShutdownWrite(b)
	if HungUp(a) {
		t.Error("a connection that is half open")
	}
	unix.Close(b)
	if !HungUp(a) {
		t.Error("not a connection that is closed")
	}
}

// What Hand is given gets the events; what had the descriptor before does not.
func TestHand(t *testing.T) {
	l := startLoop(t, Options{})
	a, b := pair(t)
	defer unix.Close(b)
	got := make(chan string, 10)
	first := ready(func(r Readiness) {
		if r&Readable != 0 {
			l.Hand(a, ready(func(Readiness) { got <- "second" }))
			got <- "first"
		}
	})
	on(t, l, func() {
		if err := l.Add(a, first); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []string{"first", "second", "second"} {
		Write(b, []byte("x"))
		if who := wait(t, got, "event"); who != want {
			t.Errorf("%s got the event, want %s", who, want)
		}
	}
}

// The duplicate of a descriptor that has left works elsewhere, and the loop hears of it no more.
func TestLeave(t *testing.T) {
	l := startLoop(t, Options{})
	a, b := pair(t)
	defer unix.Close(b)
	var calls int
	on(t, l, func() {
		if err := l.Add(a, ready(func(Readiness) { calls++ })); err != nil {
			t.Error(err)
		}
	})
	eventually(t, l, "writable", func() bool { return calls > 0 })
	duplicate, err := Duplicate(a)
	if err != nil {
		t.Fatal(err)
	}
	before := 0
	on(t, l, func() {
		if err := l.Leave(a); err != nil {
			t.Error(err)
		}
		before = calls
	})
	file := os.NewFile(uintptr(duplicate), "duplicate")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	go unix.Write(b, []byte("hello"))
	buf := make([]byte, 5)
	if _, err := io.ReadFull(conn, buf); err != nil || !bytes.Equal(buf, []byte("hello")) {
		t.Errorf("%q, %v", buf, err)
	}
	conn.Write([]byte("x"))
	conn.Close()
	eventually(t, l, "the descriptor is closed", func() bool { return l.openCount() == 0 })
	on(t, l, func() {
		if calls != before {
			t.Errorf("%d calls after Leave", calls-before)
		}
	})
	if _, err := Duplicate(-1); !errors.Is(err, syscall.EBADF) {
		t.Errorf("duplicate of no descriptor: %v", err)
	}
	for name, misuse := range map[string]func(){"Leave": func() { l.Leave(a) }, "Hand": func() { l.Hand(a, nil) }} {
		on(t, l, func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of a descriptor that is not registered does not panic", name)
				}
			}()
			misuse()
		})
	}
}
