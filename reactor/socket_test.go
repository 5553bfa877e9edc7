package reactor

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLinger0Resets(t *testing.T) {
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	serve(t, ln, func(l *Loop, fd int) Handler {
		return ready(func(got Readiness) {
			if got&Readable != 0 {
				if err := SetLinger0(fd); err != nil {
					t.Error(err)
				}
				l.Close(fd)
			}
		})
	})
	conn := dial(t, ln)
	conn.Write([]byte("x"))
	if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("no reset: %v", err)
	}
}

// TestSocketCalls checks what handlers rely on: EAGAIN, short writes, the end of file, errors without signals.
func TestSocketCalls(t *testing.T) {
	a, b := pair(t)
	buf := make([]byte, 16)
	if n, errno := Read(a, buf); n != 0 || errno != unix.EAGAIN {
		t.Errorf("empty socket: %d, %v", n, errno)
	}
	for _, c := range []struct{ a, b, want string }{{"one", "two", "onetwo"}, {"", "two", "two"}, {"one", "", "one"}, {"", "", ""}} {
		n, errno := Writev(b, []byte(c.a), []byte(c.b))
		if n != len(c.want) || errno != 0 {
			t.Errorf("Writev: %d, %v", n, errno)
		}
		if n > 0 {
			if m, errno := Read(a, buf); errno != 0 || string(buf[:m]) != c.want {
				t.Errorf("%q, %v", buf[:m], errno)
			}
		}
	}
	large := make([]byte, 1<<20)
	for wrote := 0; ; {
		n, errno := Writev(b, large, large)
		if errno == unix.EAGAIN {
			if wrote == 0 {
				t.Error("nothing was written")
			}
			break
		}
		if errno != 0 {
			t.Fatal(errno)
		}
		wrote += n
	}
	for {
		if _, errno := Read(a, large); errno == unix.EAGAIN {
			break
		}
	}
	if err := ShutdownWrite(b); err != nil {
		t.Error(err)
	}
	if n, errno := Read(a, buf); n != 0 || errno != 0 {
		t.Errorf("end of file: %d, %v", n, errno)
	}
	unix.Close(b)
	if _, errno := Write(a, buf); errno != unix.EPIPE {
		t.Errorf("write to a closed connection: %v", errno)
	}
	if _, errno := Writev(a, buf, buf); errno != unix.EPIPE {
		t.Errorf("write to a closed connection: %v", errno)
	}
	unix.Close(a)
	if _, errno := Read(a, buf); errno != unix.EBADF {
		t.Errorf("read of a closed descriptor: %v", errno)
	}
	if err := ShutdownWrite(a); err == nil {
		t.Error("no error for a closed descriptor")
	}
}

func TestSocketCallsDoNotAllocate(t *testing.T) {
	a, b := pair(t)
	defer unix.Close(a)
	defer unix.Close(b)
	x, y, buf := []byte("hello"), []byte("world"), make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		Write(b, x)
		Writev(b, x, y)
		Read(a, buf)
		Read(a, buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTurnsDoNotAllocate makes exchanges with a loop over raw sockets.
func TestTurnsDoNotAllocate(t *testing.T) {
	l := startLoop(t, Options{})
	a, b := pair(t)
	defer unix.Close(b)
	on(t, l, func() {
		e := &echo{l: l, fd: a}
		if err := l.Add(a, e); err != nil {
			t.Error(err)
		}
	})
	x, buf := []byte("hello"), make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() {
		Write(b, x)
		for {
			if _, errno := Read(b, buf); errno != unix.EAGAIN {
				return
			}
			runtime.Gosched()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAddresses(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp"} {
		ln := listen(t, network, ":0", ListenOptions{})
		type ends struct{ peer, peerToo, local netip.AddrPort }
		got := make(chan ends, 1)
		l := startLoop(t, Options{})
		on(t, l, func() {
			if err := ln.Attach(l, func(fd int, peer netip.AddrPort) {
				if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
					t.Errorf("TCP_NODELAY is %d, %v", v, err)
				}
				if v, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || v&unix.FD_CLOEXEC == 0 {
					t.Errorf("FD_CLOEXEC is %d, %v", v, err)
				}
				if v, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || v&unix.O_NONBLOCK == 0 {
					t.Errorf("O_NONBLOCK is %d, %v", v, err)
				}
				got <- ends{peer, peerAddr(fd), LocalAddr(fd)}
				unix.Close(fd)
			}, nil); err != nil {
				t.Error(err)
			}
		})
		port := ln.Addr().(*net.TCPAddr).Port
		conn, err := net.DialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		e := wait(t, got, "connection")
		if e.peer.String() != conn.LocalAddr().String() || e.peerToo != e.peer || e.local.String() != conn.RemoteAddr().String() {
			t.Errorf("%s: %+v for %v and %v", network, e, conn.LocalAddr(), conn.RemoteAddr())
		}
		conn.Close()
	}
	if a := LocalAddr(-1); a.IsValid() {
		t.Error(a)
	}
}

// BenchmarkExchange measures one turn with a read and a write on each side.
func BenchmarkExchange(b *testing.B) {
	l := startLoop(b, Options{})
	one, other := pair(b)
	defer unix.Close(other)
	on(b, l, func() {
		if err := l.Add(one, &echo{l: l, fd: one}); err != nil {
			b.Error(err)
		}
	})
	x, buf := []byte("hello"), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		Write(other, x)
		for {
			if _, errno := Read(other, buf); errno != unix.EAGAIN {
				break
			}
			runtime.Gosched()
		}
	}
}
