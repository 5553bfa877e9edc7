package reactor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPortInUse: all sockets of a listener get connections, and no other socket gets the port, whatever its options.
func TestPortInUse(t *testing.T) {
	const loops = 3
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{Sockets: loops})
	var accepted [loops]atomic.Int64
	for i := range loops {
		l, err := NewLoop(Options{Index: i, Count: loops})
		if err != nil {
			t.Fatal(err)
		}
		attach(t, ln, l, func(l *Loop, fd int) Handler {
			accepted[i].Add(1)
			return newEcho(l, fd)
		})
		if i == loops-1 {
			if err := ln.Attach(l, nil, nil); reusePortBalances && err == nil {
				t.Error("attached to more loops than there are sockets")
			}
		}
		runLoop(t, l)
	}
	missing := func() bool {
		for i := range accepted {
			if accepted[i].Load() == 0 {
				return true
			}
		}
		return false
	}
	for n := 0; missing(); n++ {
		if n > 2000 {
			t.Fatal("a socket gets no connections")
		}
		conn := dial(t, ln)
		exchange(t, conn, []byte("hello"))
		conn.Close()
	}
	for _, sockets := range []int{1, 2} {
		other, err := OpenListener("tcp4", ln.Addr().String(), ListenOptions{Sockets: sockets})
		if err == nil {
			other.Close()
			t.Fatal("the port was given twice")
		}
		if want := fmt.Sprintf("listen %v: bind: address already in use", ln.Addr()); err.Error() != want || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%q, not %q", err, want)
		}
	}
}

func TestListenErrors(t *testing.T) {
	for _, c := range []struct{ network, address, want string }{
		{"udp", "127.0.0.1:1", "unknown network udp"},
		{"tcp4", "127.0.0.1:no-such-service", "no-such-service"},
		{"tcp4", "127.0.0.1", "missing port"},
		{"tcp4", "192.0.2.1:0", "listen 192.0.2.1:0: bind: "},
		{"unix", "", "not a path"},
		{"unix", "@abstract", "not a path"},
		{"unix", strings.Repeat("x", sockPathMax+1), "more than"},
		{"unix", "/no/such/directory/sock", "bind: no such file or directory"},
	} {
		ln, err := OpenListener(c.network, c.address, ListenOptions{})
		if err == nil {
			ln.Close()
			t.Errorf("%s %s: no error", c.network, c.address)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %q", c.network, c.address, err)
		}
	}
}

func haveIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		ln.Close()
	}
	return err == nil
}

// TestFamilies: which addresses of a listener can be reached from where.
func TestFamilies(t *testing.T) {
	for _, c := range []struct {
		network, address string
		v4, v6           bool
	}{
		{"tcp4", "127.0.0.1:0", true, false},
		{"tcp4", ":0", true, false},
		{"tcp4", "localhost:0", true, false},
		{"tcp", "127.0.0.1:0", true, false},
		{"tcp", ":0", true, true},
		{"tcp", "[::]:0", true, true},
		{"tcp", "0.0.0.0:0", true, false},
		{"tcp6", ":0", false, true},
		{"tcp6", "[::1]:0", false, true},
		{"tcp", "[::1]:0", false, true},
	} {
		if c.v6 && !haveIPv6() {
			if !c.v4 {
				continue // nothing to be seen here
			}
			c.v6 = false // the fallback to IPv4
		}
		ln := listen(t, c.network, c.address, ListenOptions{Sockets: 2})
		port := ln.Addr().(*net.TCPAddr).Port
		for host, want := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
			conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
			if (err == nil) != want {
				t.Errorf("%s %s from %s: %v", c.network, c.address, host, err)
			}
			if err == nil {
				conn.Close()
			}
		}
	}
}

// TestBothFamiliesShareAPort: tcp6 is IPv6 only.
func TestBothFamiliesShareAPort(t *testing.T) {
	if !haveIPv6() {
		t.Skip("no IPv6 here")
	}
	four := listen(t, "tcp4", ":0", ListenOptions{})
	listen(t, "tcp6", fmt.Sprintf(":%d", four.Addr().(*net.TCPAddr).Port), ListenOptions{})
}

func TestCloseListener(t *testing.T) {
	unused := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{Sockets: 2}) // never attached
	fds := unused.free
	if unused.Close(); isOpen(fds[0]) || isOpen(fds[len(fds)-1]) {
		t.Error("sockets without a loop are still open")
	}
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l := serve(t, ln, newEcho)
	conn := dial(t, ln)
	exchange(t, conn, []byte("hello"))
	for range 2 {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, l, "closed", func() bool { return l.openCount() == 1 })
	eventually(t, l, "refused", func() bool {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	exchange(t, conn, []byte("still there"))
	if err := ln.Attach(l, nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Attach after Close: %v", err)
	}
	again := listen(t, "tcp4", ln.Addr().String(), ListenOptions{})
	serve(t, again, newEcho)
	exchange(t, dial(t, again), []byte("hello again"))
}

// TestCloseListenerAtOnce: once the loop has handled Close, no connection gets in, even before the descriptor is closed.
func TestCloseListenerAtOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends listening by shutdown")
	}
	for _, where := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"unix", t.TempDir() + "/s"}} {
		ln := listen(t, where[0], where[1], ListenOptions{})
		l := serve(t, ln, newEcho)
		result := make(chan error, 1)
		on(t, l, func() {
			ln.Close()
			l.Post(func() { // in the same turn as what Close has posted
				conn, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
				if err == nil {
					conn.Close()
				}
				result <- err
			})
		})
		if err := wait(t, result, "result"); err == nil {
			t.Errorf("%s: connected after Close", where[0])
		}
	}
}

// TestCloseListenerAcceptsFirst: all connections that were made before Close get in, however many there are.
func TestCloseListenerAcceptsFirst(t *testing.T) {
	const conns = 197
	for _, where := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"unix", t.TempDir() + "/s"}} {
		ln := listen(t, where[0], where[1], ListenOptions{})
		l := serve(t, ln, newEcho)
		var all []net.Conn
		on(t, l, func() {
			for range conns {
				all = append(all, dial(t, ln))
			}
			ln.Close()
		})
		for _, conn := range all {
			exchange(t, conn, []byte("hello"))
		}
	}
}

// TestAcceptBurst: more connections than are accepted at a time have arrived before the loop runs, and one edge reports them all.
func TestAcceptBurst(t *testing.T) {
	const conns = 197
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	var all []net.Conn
	for range conns {
		all = append(all, dial(t, ln))
	}
	l := serve(t, ln, newEcho)
	eventually(t, l, "all accepted", func() bool { return l.openCount() == conns+1 })
	for _, conn := range all {
		exchange(t, conn, []byte("hello"))
		conn.Close()
	}
	eventually(t, l, "all closed", func() bool { return l.openCount() == 1 })
}

// TestCloseInsideAccept: the accepting loop itself closes the listener.
func TestCloseInsideAccept(t *testing.T) {
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l := startLoop(t, Options{})
	on(t, l, func() {
		if err := ln.Attach(l, func(fd int, _ netip.AddrPort) {
			unix.Close(fd)
			ln.Close()
		}, nil); err != nil {
			t.Error(err)
		}
	})
	dial(t, ln)
	eventually(t, l, "closed", func() bool { return l.openCount() == 0 })
}

// TestUnixIsDealtOut: the connections of one socket go to all loops in turn.
func TestUnixIsDealtOut(t *testing.T) {
	const loops = 3
	ln := listen(t, "unix", t.TempDir()+"/s", ListenOptions{})
	var accepted [loops]atomic.Int64
	var all [loops]*Loop
	for i := range loops {
		all[i] = startLoop(t, Options{Index: i, Count: loops})
		on(t, all[i], func() {
			attach(t, ln, all[i], func(l *Loop, fd int) Handler {
				if l != all[i] {
					t.Error("accepted on another loop")
				}
				accepted[i].Add(1)
				return newEcho(l, fd)
			})
		})
	}
	for range 4 * loops {
		exchange(t, dial(t, ln), []byte("hello"))
	}
	for i := range accepted {
		if n := accepted[i].Load(); n != 4 {
			t.Errorf("loop %d got %d connections", i, n)
		}
	}
	all[1].Stop() // the loop that accepts takes its connections from now on
	eventually(t, all[0], "ended", func() bool { return !all[1].Post(func() {}) })
	for range 2 * loops {
		exchange(t, dial(t, ln), []byte("x"))
	}
	if n := [loops]int64{accepted[0].Load(), accepted[1].Load(), accepted[2].Load()}; n != [loops]int64{8, 4, 6} {
		t.Errorf("the loops got %d connections", n)
	}
}

func TestUnixFile(t *testing.T) {
	dir := t.TempDir()
	open := func(path string, mode os.FileMode) (*Listener, error) {
		return OpenListener("unix", path, ListenOptions{Mode: mode})
	}
	refuse := func(what, path, want string) {
		t.Helper()
		before, _ := os.Lstat(path)
		ln, err := open(path, 0)
		if err == nil {
			ln.Close()
			t.Errorf("%s: no error", what)
			return
		}
		if !strings.Contains(err.Error(), "listen "+path+": "+want) {
			t.Errorf("%s: %v", what, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is gone", what)
		}
	}

	path := filepath.Join(dir, "file")
	os.WriteFile(path, []byte("precious"), 0o600)
	refuse("file", path, "file exists and is not a socket")
	refuse("directory", dir, "file exists and is not a socket")
	link := filepath.Join(dir, "link")
	os.Symlink(path, link)
	refuse("symbolic link", link, "file exists and is not a socket")

	path = filepath.Join(dir, "sock")
	ln, err := open(path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	refuse("socket of a living server", path, "bind: address already in use")

	// A server has left its file behind.
	closeFDs(ln.free)
	ln.free = nil
	second, err := open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("the file of another listener was removed")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnixFullBacklogIsAlive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listen(t, "unix", path, ListenOptions{Backlog: 1})
	for {
		fd, err := openSocket(unix.AF_UNIX)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if unix.Connect(fd, &unix.SockaddrUnix{Name: path}) != nil {
			break
		}
	}
	if _, err := OpenListener("unix", path, ListenOptions{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v", err)
	}
}

const fewDescriptorsEnv = "MOONBRIDGE_TEST_FEW_DESCRIPTORS"

// TestFewDescriptors runs a server with too few descriptors, in another process.
func TestFewDescriptors(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fewDescriptorsEnv+"=1")
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "address")
	cmd.Env = append(cmd.Env, "ADDRESS_FILE="+path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	began := time.Now()
	var address []byte
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if address, err = os.ReadFile(path); err == nil && len(address) > 0 {
			break
		}
		if time.Now().After(end) {
			cmd.Process.Kill()
			t.Fatalf("the server does not start: %s", log.String())
		}
	}

	const conns = 100
	var all []net.Conn
	for range conns {
		conn, err := net.Dial("tcp", string(address))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		all = append(all, conn)
	}
	exchange(t, all[0], []byte("served although descriptors have run out"))
	time.Sleep(3 * acceptPause)
	// As connections end, the others are accepted, without another edge of the listening socket.
	var done sync.WaitGroup
	for _, conn := range all {
		done.Go(func() {
			exchange(t, conn, []byte("hello"))
			conn.Close()
		})
	}
	done.Wait()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
	if n := strings.Count(log.String(), "accepting pauses"); n == 0 || n > 20+2*int(time.Since(began)/acceptPause) {
		t.Errorf("%d lines in the log", n)
	}
	if !strings.Contains(log.String(), "too many open files") {
		t.Error(log.String())
	}
}

// fewDescriptors is the server of TestFewDescriptors: it ends at the end of standard input.
func fewDescriptors() int {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, err); return 1 }
	ln, err := OpenListener("tcp4", "127.0.0.1:0", ListenOptions{})
	if err != nil {
		return fail(err)
	}
	l, err := NewLoop(Options{})
	if err != nil {
		return fail(err)
	}
	if err := ln.Attach(l, func(fd int, _ netip.AddrPort) {
		if err := l.Add(fd, newEcho(l, fd)); err != nil {
			unix.Close(fd)
		}
	}, nil); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(os.Getenv("ADDRESS_FILE"), []byte(ln.Addr().String()), 0o600); err != nil {
		return fail(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 30, Max: 30}); err != nil {
		return fail(err)
	}
	go func() {
		os.Stdin.Read(make([]byte, 1))
		l.Stop()
	}()
	if err := l.Run(); err != nil {
		return fail(err)
	}
	return 0
}

// A disk that hangs, with the file of a Unix socket, does not hold up the end of listening for long, and the loops not at all.
func TestCloseListenerOnHungDisk(t *testing.T) {
	var began, goOn chan struct{}
	defer func(f func(string) error, d time.Duration) { removeFile, removeMost = f, d }(removeFile, removeMost)
	removeFile = func(name string) error {
		close(began)
		<-goOn
		return os.Remove(name)
	}
	closing := func(most time.Duration) (ln *Listener, path string, closed chan error) {
		began, goOn, removeMost = make(chan struct{}), make(chan struct{}), most
		path = filepath.Join(t.TempDir(), "s")
		ln = listen(t, "unix", path, ListenOptions{})
		serve(t, ln, newEcho)
		closed = make(chan error, 1)
		go func() { closed <- ln.Close() }()
		wait(t, began, "the file is about to be removed")
		return ln, path, closed
	}
	removed := func(path string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
				return
			} else if time.Now().After(end) {
				t.Fatal("the file is still there")
			}
		}
	}

	ln, path, closed := closing(time.Hour)
	exchange(t, dial(t, ln), []byte("hello")) // the file is still there, so connections are accepted
	close(goOn)
	if err := wait(t, closed, "the end of Close"); err != nil {
		t.Error(err)
	}
	removed(path)

	ln, path, closed = closing(time.Millisecond)
	if err := wait(t, closed, "the end of Close"); err == nil || !strings.Contains(err.Error(), "not removed within") {
		t.Errorf("%v", err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(end) {
			t.Fatal("it still listens")
		}
	}
	close(goOn)
	removed(path)
}
