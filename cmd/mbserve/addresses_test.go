package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool/listen"
	"moonbridge/reactor/reactortest"
)

// The addresses of one port that tests change between. Whether 127.0.0.2 and ::1 reach them shows which one is open.
var portAddresses = []struct {
	listener    string
	second, six bool
}{
	{`proto = "tcp4", localhost = true`, false, false},
	{`proto = "tcp4"`, true, false},
	{`proto = "tcp"`, true, true},
	{`proto = "tcp", host = "127.0.0.1"`, false, false},
	{`proto = "tcp"`, true, true},
	{`proto = "tcp4"`, true, false},
	{`proto = "tcp", host = "0.0.0.0"`, true, false},
}

func reaches(host, port string) bool {
	c, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err == nil {
		c.Close()
	}
	return err == nil
}

// checkAddress checks which address of a port is open, and that no other process gets it.
func checkAddress(t *testing.T, n int, port string) {
	t.Helper()
	at := portAddresses[n]
	eventually(t, at.listener+" and nothing else is open", func() bool {
		return reaches("127.0.0.1", port) && reaches("127.0.0.2", port) == at.second && (reaches("::1", port) == at.six || !haveIPv6())
	})
	_, stderr := runToEnd(t, 3, "testdata/bad/port.lua", port)
	checkMessage(t, stderr, "bind: address already in use")
}

func haveIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		ln.Close()
	}
	return err == nil
}

// clients make requests on new connections until the returned function is called. Each must be answered.
func clients(t *testing.T, address string) (stop func()) {
	var stopped atomic.Bool
	ended := make(chan int)
	for range 2 {
		go func() {
			n := 0
			defer func() { ended <- n }()
			for ; !stopped.Load() && !t.Failed(); n++ {
				getMeanwhile(t, "http://"+address+"/")
			}
		}()
	}
	return func() {
		stopped.Store(true)
		for range 2 {
			if <-ended == 0 {
				t.Error("a client got no answer")
			}
		}
	}
}

// A reload or a new process can change the address of a port. No client of an address that stays served is turned away,
// and a script that fails changes nothing.
func TestChangeAddress(t *testing.T) {
	for _, how := range []string{"HUP", "USR2"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			a := newApplication(t)
			a.write(`@ listen{ port, connect = say("ready") }`)
			s := startReplacing(t, func(args ...string) *instance { return launch(t, args...) }, a.script)
			address := s.address(0)
			_, port, _ := net.SplitHostPort(address)
			stop := clients(t, address)
			for n, at := range portAddresses {
				a.write(`@ listen{ { %s, port = %s }, connect = say("never") } error("on purpose")`, at.listener, port)
				if line := s.change(how); !strings.Contains(line, "failed") {
					t.Error(line)
				}
				a.write(`@ listen{ { %s, port = %s }, connect = say("%d") }`, at.listener, port, n)
				s.mustChange(how)
				if got := get(t, "http://"+address+"/"); got != fmt.Sprint(n) {
					t.Errorf("%s: answer %q", at.listener, got)
				}
				checkAddress(t, n, port)
			}
			stop()
			s.end()
		})
	}
}

// replacing is a server that tests reload or replace: its process changes with USR2.
type replacing struct {
	*instance
	pidFile string
	now     int // its process
}

func startReplacing(t *testing.T, launch func(args ...string) *instance, args ...string) *replacing {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pid")
	s := launch(append([]string{"-p", name}, args...)...)
	s.wait("msg=ready")
	return &replacing{s, name, s.pid()}
}

// change has the server load the script that is there now, by HUP or USR2. It returns the log line with the result.
func (r *replacing) change(how string) string {
	r.t.Helper()
	from := r.log.size()
	sig, done, failed := syscall.SIGHUP, "msg=reloaded", "reload failed"
	if how == "USR2" {
		sig, done, failed = syscall.SIGUSR2, "msg=stopped", "upgrade failed"
	}
	if err := syscall.Kill(r.now, sig); err != nil {
		r.t.Fatal(err)
	}
	var line string
	eventually(r.t, how+" is over", func() bool {
		for l := range strings.Lines(r.log.String()[from:]) {
			if strings.Contains(l, done) || strings.Contains(l, failed) {
				line = l
			}
		}
		return line != ""
	})
	text, err := os.ReadFile(r.pidFile)
	if err != nil {
		r.t.Fatal(err)
	}
	r.now = number(r.t, strings.TrimSpace(string(text)))
	return line
}

func (r *replacing) mustChange(how string) {
	r.t.Helper()
	if line := r.change(how); strings.Contains(line, "failed") {
		r.t.Fatal(line)
	}
}

// end ends the server, if its first process is not the last one.
func (r *replacing) end() {
	r.t.Helper()
	if r.now != r.pid() {
		r.awaitExit()
		r.endOf(r.now)
	}
}

// A script that would not start does not load either, even if the server could open its listeners.
func TestReloadBothAddresses(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("one") }`)
	s := start(t, a.script)
	_, port, _ := net.SplitHostPort(s.address(0))
	one, all := `{ proto = "tcp4", localhost = true, port = `+port+` }`, `{ proto = "tcp4", port = `+port+` }`
	for _, listeners := range []string{one + "," + all, all + "," + one} {
		a.write(`@ listen{ %s, connect = say("two") }`, listeners)
		if line := s.reload(); !containsAll(line, []string{"reload failed", "address already in use"}) {
			t.Error(line)
		}
		if got := get(t, s.url("/")); got != "one" {
			t.Errorf("%q", got)
		}
		_, stderr := runToEnd(t, 3, a.script)
		checkMessage(t, stderr, "address already in use")
	}
	a.write(`@ listen{ %s, connect = say("three") }`, all)
	s.mustReload()
	a.write(`@ listen{ %s, %s, connect = say("four") }`, one, all)
	if line := s.reload(); !containsAll(line, []string{"reload failed", "address already in use"}) {
		t.Error(line)
	}
	if got := get(t, s.url("/")); got != "three" {
		t.Errorf("%q", got)
	}
}

// A socket of the service manager stays open, and stays the manager's, whatever scripts and processes come and go.
func TestForeignSocketStays(t *testing.T) {
	t.Parallel()
	shell := needs(t, "sh")
	dir := t.TempDir()
	path := filepath.Join(dir, "theirs")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		program, _ = os.Executable()
	}
	a := newApplication(t)
	uses := func(version string) {
		a.write(`@ listen{ port, { proto = "local", path = %q, mode = "0600" }, connect = say("%s") }`, path, version)
	}
	uses("one")
	s := startReplacing(t, func(args ...string) *instance {
		args = append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, program}, args...)
		return launchWith(t, shell, []*os.File{f}, nil, args...)
	}, a.script)
	for _, how := range []string{"HUP", "USR2", "HUP", "USR2", "USR2"} {
		a.write(`@ listen{ port, connect = say("without") }`)
		s.mustChange(how)
		uses(how)
		s.mustChange(how)
		if got := getLocal(t, path); got != how {
			t.Errorf("%q after %s", got, how)
		}
	}
	s.end()
	if _, err := net.Dial("unix", path); err != nil {
		t.Errorf("the manager's socket: %v", err)
	}
}

// A Unix socket that is not used any more is removed by the process that takes over; one whose file has gone is made again.
func TestUnixSocketFiles(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	path := filepath.Join(filepath.Dir(a.script), "socket")
	with := fmt.Sprintf(`@ listen{ port, { proto = "local", path = %q, mode = "0640" }, connect = say("with") }`, path)
	a.write("%s", with)
	s := startReplacing(t, func(args ...string) *instance { return launch(t, args...) }, a.script)
	for _, how := range []string{"HUP", "USR2", "HUP"} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		s.mustChange(how)
		if got := getLocal(t, path); got != "with" {
			t.Errorf("%q after the file was removed and %s", got, how)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
		a.write(`@ listen{ port, connect = say("without") }`)
		s.mustChange(how)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("after %s without the socket: %v", how, err)
		}
		a.write("%s", with)
		s.mustChange(how)
	}
	s.end()
}

// The address of a port that the service manager has opened does not change: it would keep its socket.
func TestForeignAddress(t *testing.T) {
	t.Parallel()
	shell := needs(t, "sh")
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	a := newApplication(t)
	a.write(`@ listen{ { proto = "tcp4", localhost = true, port = %s }, connect = say("one") }`, port)
	s := launchWith(t, shell, []*os.File{f}, nil, "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, mbserve(t), a.script)
	s.wait("msg=ready")
	a.write(`@ listen{ { proto = "tcp4", port = %s }, connect = say("two") }`, port)
	if line := s.reload(); !containsAll(line, []string{"reload failed", "address already in use"}) {
		t.Error(line)
	}
	if got := get(t, s.url("/")); got != "one" {
		t.Errorf("%q", got)
	}
}

// While a generation waits for a name server, nothing that ends the server waits for it.
func TestAddressWaitsForName(t *testing.T) {
	names := reactortest.SlowNames(t, 2) // the addresses of IPv4 and IPv6, once
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	s := newServer(&options{})
	s.engine, s.inherited = e, new(inherited)
	claimed := make(chan error, 1)
	go func() {
		_, err := (&generation{s: s}).claimAddress(&listen.Listener{Proto: "tcp", Host: "name.test.", Port: 0})
		claimed <- err
	}()
	select {
	case <-names.Asked():
	case err := <-claimed:
		t.Skip("this system asks no name server:", err)
	case <-time.After(patience):
		t.Fatal("no name server is asked")
	}
	if !s.mu.TryLock() {
		t.Error("a stop would wait for the name server")
	} else {
		s.mu.Unlock()
	}
	names.Answer()
	if err := <-claimed; err != nil {
		t.Error(err)
	}
}
