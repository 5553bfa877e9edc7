package reactor

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait. It is long because the machine may be busy.
const patience = time.Minute

// startLoop runs a loop until the end of the test, and checks that it leaves nothing open.
func startLoop(t testing.TB, o Options) *Loop {
	t.Helper()
	l, err := NewLoop(o)
	if err != nil {
		t.Fatal(err)
	}
	runLoop(t, l)
	return l
}

// runLoop runs a loop until the end of the test. over is closed when Run has returned.
func runLoop(t testing.TB, l *Loop) (over <-chan struct{}) {
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- l.Run()
		close(done)
	}()
	t.Cleanup(func() {
		l.Stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the loop does not stop")
		}
		if l.openCount() != 0 {
			t.Errorf("%d descriptors left open", l.openCount())
		}
	})
	return done
}

// on runs fn on the loop and waits for it.
func on(t testing.TB, l *Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Post(func() { fn(); close(done) }) {
		t.Fatal("the loop has ended")
	}
	wait(t, done, "a posted task")
}

func wait[T any](t testing.TB, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return got
}

// eventually waits for a condition, which it evaluates on the loop.
func eventually(t testing.TB, l *Loop, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		ok := false
		on(t, l, func() { ok = condition() })
		if ok {
			return
		}
	}
	t.Fatalf("never %s", what)
}

// openCount is the number of descriptors that the loop owns, including those that are about to be closed.
func (l *Loop) openCount() int { return l.open + len(l.closing) }

// peerAddr is the address of the other end of a TCP socket.
func peerAddr(fd int) netip.AddrPort {
	address, err := unix.Getpeername(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(address)
}

func listen(t testing.TB, network, address string, o ListenOptions) *Listener {
	t.Helper()
	ln, err := OpenListener(network, address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serve starts a loop that serves each connection with what handler makes.
func serve(t testing.TB, ln *Listener, handler func(l *Loop, fd int) Handler) *Loop {
	t.Helper()
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	attach(t, ln, l, handler)
	runLoop(t, l)
	return l
}

func attach(t testing.TB, ln *Listener, l *Loop, handler func(l *Loop, fd int) Handler) {
	t.Helper()
	if err := ln.Attach(l, func(fd int, _ netip.AddrPort) {
		if err := l.Add(fd, handler(l, fd)); err != nil {
			t.Error(err)
			unix.Close(fd)
		}
	}, nil); err != nil {
		t.Fatal(err)
	}
}

func dial(t testing.TB, ln *Listener) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(ln.Addr().Network(), ln.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// echo sends back what it reads, and closes at the end of file. It stops reading while it cannot write.
type echo struct {
	l    *Loop
	fd   int
	left []byte
	buf  [4096]byte
	end  bool // PeerClosed came: a short read is not the end
	over chan<- struct{}
}

func newEcho(l *Loop, fd int) Handler { return &echo{l: l, fd: fd} }

func (e *echo) Ready(got Readiness) {
	e.end = e.end || got&(PeerClosed|Hangup) != 0
	for {
		for len(e.left) > 0 {
			n, errno := Write(e.fd, e.left)
			if errno == unix.EAGAIN {
				return
			}
			if errno != 0 {
				e.close()
				return
			}
			e.left = e.left[n:]
		}
		n, errno := Read(e.fd, e.buf[:])
		if errno == unix.EAGAIN {
			return
		}
		if errno != 0 || n == 0 {
			e.close()
			return
		}
		e.left = e.buf[:n]
	}
}

func (e *echo) close() {
	e.l.Close(e.fd)
	if e.over != nil {
		close(e.over)
	}
}

// exchange writes b and reads it back.
func exchange(t testing.TB, conn net.Conn, b []byte) {
	t.Helper()
	go conn.Write(b)
	got := make([]byte, len(b))
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, b) {
		t.Error("other bytes came back")
	}
}

// pair returns two connected non-blocking sockets.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	return fds[0], fds[1]
}

// ready makes a function a Handler.
type ready func(got Readiness)

func (f ready) Ready(got Readiness) { f(got) }

// isOpen reports whether a descriptor number is in use.
func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

func TestMain(m *testing.M) {
	if os.Getenv(fewDescriptorsEnv) != "" {
		os.Exit(fewDescriptors())
	}
	os.Exit(m.Run())
}
