package reactor

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// descriptors returns what another process would inherit of a listener.
func descriptors(t testing.TB, ln *Listener) (fds []int) {
	t.Helper()
	files, err := ln.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fd, err := unix.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		f.Close()
	}
	return fds
}

// ask exchanges a message with an echo server on a new connection.
func ask(t *testing.T, ln *Listener) bool {
	conn, err := net.DialTimeout(ln.Addr().Network(), ln.Addr().String(), patience)
	if err != nil {
		t.Error(err)
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	exchange(t, conn, []byte("hello"))
	return !t.Failed()
}

// attachOn attaches a running loop.
func attachOn(t *testing.T, ln *Listener, l *Loop, handler func(l *Loop, fd int) Handler) {
	t.Helper()
	on(t, l, func() { attach(t, ln, l, handler) })
}

// A listener is handed over while connections arrive. Each of them is answered, in the end by the heir.
func TestHandOver(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "sock")
			}
			var old, heir atomic.Int64
			counted := func(n *atomic.Int64) func(l *Loop, fd int) Handler {
				return func(l *Loop, fd int) Handler { n.Add(1); return newEcho(l, fd) }
			}
			first := listen(t, network, address, ListenOptions{Sockets: 2})
			for i := range 2 {
				l := startLoop(t, Options{Index: i, Count: 2})
				attachOn(t, first, l, counted(&old))
			}
			var stop atomic.Bool
			asked := make(chan int)
			go func() {
				n := 0
				for ; !stop.Load() && ask(t, first); n++ {
				}
				asked <- n
			}()
			second := listen(t, network, address, ListenOptions{Sockets: 2, Inherited: descriptors(t, first)})
			if second.Addr().String() != first.Addr().String() {
				t.Errorf("address %v of %v", second.Addr(), first.Addr())
			}
			for i := range 2 {
				l := startLoop(t, Options{Index: i, Count: 2})
				attachOn(t, second, l, counted(&heir))
			}
			first.HandOver()
			first.HandOver()
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			if _, err := first.Files(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("files after it: %v", err)
			}
			for heir.Load() < 50 && ask(t, second) {
			}
			stop.Store(true)
			n := wait(t, asked, "end of the connections")
			t.Logf("%d connections, %d of the first, %d of the second", n+50, old.Load(), heir.Load())
			before := old.Load()
			for range 20 {
				ask(t, second)
			}
			if old.Load() != before {
				t.Error("the first listener still accepts")
			}
			if network == "unix" {
				if err := second.Close(); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(address); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the socket's file after the end: %v", err)
				}
			}
		})
	}
}

// One socket that another program has opened serves all loops, and its file stays.
func TestInheritForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	theirs, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	f, err := theirs.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	ln := listen(t, "unix", path, ListenOptions{Sockets: 2, Inherited: []int{fd}, Foreign: true})
	var accepted [2]atomic.Int64
	for i := range accepted {
		l := startLoop(t, Options{Index: i, Count: 2})
		attachOn(t, ln, l, func(l *Loop, fd int) Handler { accepted[i].Add(1); return newEcho(l, fd) })
	}
	for accepted[0].Load() == 0 || accepted[1].Load() == 0 {
		ask(t, ln)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	late, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		t.Fatal(err)
	}
	late.Close()
}

// If there are more sockets than loops, all of them are served.
func TestInheritMoreThanLoops(t *testing.T) {
	first := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{Sockets: 4})
	second := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{Sockets: 1, Inherited: descriptors(t, first)})
	l := startLoop(t, Options{})
	attachOn(t, second, l, func(l *Loop, fd int) Handler { return newEcho(l, fd) })
	first.HandOver()
	for range 64 {
		ask(t, second)
	}
}

func TestInheritErrors(t *testing.T) {
	stream, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	fd := func(c any) int {
		raw, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		fd := -1
		raw.Control(func(s uintptr) { fd, err = unix.Dup(int(s)) })
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		network string
		fd      int
		want    string
	}{
		{"tcp4", fd(packets), "not a listening stream socket"},
		{"unix", fd(stream), "is on network tcp4, not unix"},
		{"tcp4", null, "socket operation on non-socket"},
		{"tcp4", 1 << 20, "bad file descriptor"},
	} {
		ln, err := OpenListener(c.network, "127.0.0.1:1", ListenOptions{Inherited: []int{c.fd}})
		if err == nil {
			ln.Close()
			t.Errorf("%s: no error", c.want)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, not %q", err, c.want)
		}
		if _, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); err == nil {
			t.Errorf("%s: descriptor not closed", c.want)
		}
	}
}

// It is noticed when the file of a Unix socket is removed, or its path leads elsewhere; then only the socket's own file is
// removed at the end.
func TestUnixInPlace(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	lead := func(to string) {
		os.Remove(link)
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, release := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(dir, release), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lead("1")
	path := filepath.Join(link, "sock")
	first := listen(t, "unix", path, ListenOptions{})
	heir := listen(t, "unix", path, ListenOptions{Inherited: descriptors(t, first)})
	if !first.InPlace() || !heir.InPlace() {
		t.Error("not in place")
	}
	lead("2")
	if first.InPlace() || heir.InPlace() {
		t.Error("in place although the path leads elsewhere")
	}
	second := listen(t, "unix", path, ListenOptions{})
	first.HandOver()
	if err := heir.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "1", "sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first file: %v", err)
	}
	if !second.InPlace() {
		t.Error("the second file is gone")
	}
	os.Remove(path)
	last := listen(t, "unix", path, ListenOptions{Inherited: descriptors(t, second)})
	if second.InPlace() || last.InPlace() {
		t.Error("in place although the file is gone")
	}
	if err := last.Close(); err != nil {
		t.Error(err)
	}
}

// A loop that cannot take all sockets takes none. It may be attached later.
func TestAttachInPart(t *testing.T) {
	first := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{Sockets: 2})
	fds := descriptors(t, first)
	ln := listen(t, "tcp4", first.Addr().String(), ListenOptions{Sockets: 3, Inherited: fds})
	l := startLoop(t, Options{})
	last := fds[len(fds)-1]
	accept := func(fd int, _ netip.AddrPort) { unix.Close(fd) }
	on(t, l, func() {
		if err := l.Watch(last, func() {}); err != nil {
			t.Fatal(err)
		}
		if err := ln.Attach(l, accept, nil); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("attach: %v", err)
		}
		if l.openCount() != 0 {
			t.Errorf("the loop has %d descriptors", l.openCount())
		}
	})
	conn := dial(t, ln)
	on(t, l, func() {
		if err := l.Unwatch(last); err != nil {
			t.Fatal(err)
		}
	})
	attachOn(t, ln, l, newEcho)
	exchange(t, conn, []byte("hello"))
}
