package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// endOf ends a process that the test has not started itself, and waits until it is gone.
func (s *instance) endOf(pid int) {
	s.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		s.t.Error(err)
	}
	s.gone()
}

// gone waits until the last process of the server has ended.
func (s *instance) gone() {
	s.t.Helper()
	s.ended = true
	s.checkProcesses()
	s.checkLog()
}

// The server is replaced by a new process twice under load: no request is refused or lost.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := filepath.Dir(a.script)
	socket, pidName, logName := filepath.Join(dir, "socket"), filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	a.write(`@ listen{ port, { proto = "local", path = %q }, connect = say("one") }`, socket)
	s := launch(t, "-p", pidName, "-l", logName, a.script)
	logText := func() string {
		text, _ := os.ReadFile(logName)
		return string(text)
	}
	eventually(t, "it is ready", func() bool { return strings.Contains(logText(), "msg=ready") })
	at := field(logText(), "address")
	at = strings.TrimSuffix(strings.TrimPrefix(at, "http://"), "/")
	var stop atomic.Bool
	ended := make(chan int)
	for range 3 {
		go func() {
			n := 0
			defer func() { ended <- n }()
			for ; !stop.Load() && !t.Failed(); n++ {
				getMeanwhile(t, "http://"+at+"/")
			}
		}()
	}
	pid := s.pid()
	for _, version := range []string{"two", "three"} {
		a.write(`@ listen{ port, { proto = "local", path = %q }, connect = say("%s") }`, socket, version)
		stays := dial(t, at)
		stays.get("/")
		stays.hears(200)
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		old := pid
		eventually(t, "the pid file has the new process", func() bool {
			text, err := os.ReadFile(pidName)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.TrimSpace(string(text)); n != "" {
				pid = number(t, n)
			}
			return pid != old
		})
		stays.hearsEnd()
		eventually(t, "the old process ends", func() bool { return strings.Count(logText(), "msg=stopped") > 0 && gone(old) })
		if got := get(t, "http://"+at+"/"); got != version {
			t.Errorf("%q", got)
		}
		if got := getLocal(t, socket); got != version {
			t.Errorf("%q", got)
		}
	}
	stop.Store(true)
	for range 3 {
		if <-ended == 0 {
			t.Error("a client got no answer")
		}
	}
	s.awaitExit()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.endOf(pid)
	for _, name := range []string{socket, pidName} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s still exists", name)
		}
	}
}

// gone reports whether a process has ended (it may not be reaped yet, if its parent has ended too).
func gone(pid int) bool {
	text, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "Z")
}

// A new process that fails before it serves changes nothing.
func TestUpgradeBroken(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	pidName, socket := filepath.Join(dir, "pid"), filepath.Join(dir, "socket")
	a.write(`@ listen{ port, { proto = "local", path = %q }, connect = say("good") }`, socket)
	s := start(t, "-p", pidName, a.script)
	stays := dial(t, s.address(0))
	for _, script := range []string{
		`error("on purpose")`,
		`@ listen{ port, connect = say("bad") } error("after listen")`,
		`@ listen{ port, { proto = "local", path = "` + socket + `" }, connect = say("bad") } error("after listen")`,
		`@ listen{ port, { proto = "local", path = "` + socket + `" }, connect = say("bad"), prepare = function() error("in prepare") end }`,
	} {
		a.write("%s", script)
		from := s.log.size()
		s.signal(syscall.SIGUSR2)
		s.log.wait(t, from, "upgrade failed", "exit status 3")
		stays.get("/")
		if got := stays.hears(200); got != "good" {
			t.Errorf("%q", got)
		}
		if got := get(t, s.url("/")); got != "good" {
			t.Errorf("%q", got)
		}
		if got := getLocal(t, socket); got != "good" {
			t.Errorf("%q at the Unix socket", got)
		}
		if text, err := os.ReadFile(pidName); err != nil || strings.TrimSpace(string(text)) != itoa(s.pid()) {
			t.Errorf("pid file %q, %v", text, err)
		}
	}
}

// If the server is stopped while a new process is loading, that process ends too.
func TestStopWhileUpgrading(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, _ := newFIFO(t)
	a.write(`@ listen{ port, connect = say("good") }`)
	s := start(t, a.script)
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("late") }`, fifo)
	s.signal(syscall.SIGUSR2)
	s.wait("loading")
	s.stop()
}

// A service manager opens the sockets and is told the state of the server.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	shell := needs(t, "sh")
	notify, next := manager(t)
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
	a := newApplication(t)
	a.write(`@ listen{ { proto = "tcp4", port = %d, localhost = true }, connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(tostring(os.getenv("LISTEN_FDS")), " ", tostring(os.getenv("NOTIFY_SOCKET")))
	end) }`, ln.Addr().(*net.TCPAddr).Port)
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		program, _ = os.Executable()
	}
	early := dial(t, ln.Addr().String()) // before the server starts
	early.get("/")
	s := launchWith(t, shell, []*os.File{f}, []string{"NOTIFY_SOCKET=" + notify},
		"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, program, a.script)
	if got := next(); !strings.HasPrefix(got, "READY=1") {
		t.Errorf("%q", got)
	}
	if got := early.hears(200); got != "nil nil" {
		t.Errorf("the script's environment has %q", got)
	}
	s.signal(syscall.SIGHUP)
	if got := next(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("%q", got)
	}
	if got := next(); !strings.HasPrefix(got, "READY=1") {
		t.Errorf("%q", got)
	}
	early.get("/")
	early.hears(200)
	s.signal(syscall.SIGTERM)
	if got := next(); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("%q", got)
	}
	s.exit(0)
	// The socket belongs to the manager and still listens.
	late, err := net.DialTimeout("tcp4", ln.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	late.Close()
}

// Sockets that the script does not use are logged.
func TestForeignSockets(t *testing.T) {
	t.Parallel()
	shell := needs(t, "sh")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		program, _ = os.Executable()
	}
	s := launchWith(t, shell, []*os.File{null}, nil, "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, program, "testdata/hello.lua")
	s.exit(3)
	s.log.wait(t, 0, "socket 3 from the service manager")

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
	s = launchWith(t, shell, []*os.File{f}, nil, "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, program, "testdata/hello.lua")
	s.wait("the script does not listen on a socket", ln.Addr().String())
	s.wait("msg=ready")
}
