package main

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startFault starts the server with the fault script, in one of its modes. file is a file that the script looks for.
func startFault(t *testing.T, mode string, there bool) (s *instance, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "file")
	if there {
		touch(t, file)
	}
	return start(t, "testdata/fault.lua", mode, file), file
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantFFI skips a test that needs LuaJIT's ffi.
func wantFFI(t *testing.T, s *instance) {
	t.Helper()
	found := ""
	eventually(t, "an answer", func() bool { // there may be a time limit
		status, body, err := fetchStatus(s.url("/ffi"))
		found = body
		return err == nil && status == 200
	})
	if found != "true" {
		t.Skip("this Lua has no ffi")
	}
}

// recovers expects the server to answer normally again.
func recovers(t *testing.T, s *instance) {
	t.Helper()
	eventually(t, "an answer", func() bool {
		status, _, err := fetchStatus(s.url("/"))
		if err != nil || status != 200 && status != 502 && status != 503 {
			t.Fatalf("status %d, %v", status, err)
		}
		return status == 200
	})
}

// A worker that dies while idle has no effect: it owns no connections.
func TestFaultIdleWorkerKilled(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "", false)
	p := dial(t, s.address(0))
	for range 5 {
		p.get("/pid")
		pid := p.hears(200)
		from := s.log.size()
		kill(t, number(t, pid))
		// It may have begun a tick meanwhile, which is lost then. No request is.
		s.log.wait(t, from, "worker ended", "pid="+pid, `end="signal SIGKILL"`, "retried=0")
		p.get("/")
		p.hears(200)
	}
	s.wantWorkers(2)
}

// A timer whose worker dies continues with another one.
func TestFaultTickKilled(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "tick", true)
	var last string
	for range 3 {
		from := 0 // the first tick may have begun before the server was ready
		if last != "" {
			from = s.log.size()
			kill(t, number(t, last))
			s.log.wait(t, from, "worker ended", "pid="+last, `end="signal SIGKILL"`)
		}
		pid := field(s.log.wait(t, from, "tick of "), "pid")
		if pid == last {
			t.Errorf("worker %s again", pid)
		}
		last = pid
	}
	get(t, s.url("/"))
	kill(t, number(t, last))
}

// A crash in a module written in C affects one worker.
func TestFaultCrashInC(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "", false)
	wantFFI(t, s)
	for _, method := range []string{"GET", "POST"} {
		from := s.log.size()
		if got := status(t, method, s.url("/null")); got != 502 {
			t.Errorf("%s: status %d", method, got)
		}
		s.log.wait(t, from, "worker ended", `end="signal SIGSEGV"`)
		recovers(t, s)
	}
}

// A worker that hangs, because it was stopped or is stuck in a module written in C, is ended by request_timeout. The
// others keep running.
func TestFaultWorkerStopped(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "timeout", false)
	wantFFI(t, s)
	p := dial(t, s.address(0))
	p.get("/hang")
	eventually(t, "others answer", func() bool { return status(t, "GET", s.url("/")) == 200 })
	p.hears(504)
	s.wait("request_timeout: ending the worker", `request="GET /hang"`)

	// A request that gets a stopped worker waits for request_timeout; then everything works again.
	for _, pid := range s.workers() {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	eventually(t, "the stopped workers are replaced", func() bool {
		if got := status(t, "GET", s.url("/")); got == 200 {
			return true
		} else if got != 504 && got != 503 && got != 502 {
			t.Fatalf("status %d", got)
		}
		return false
	})
	for _, pid := range s.workers() {
		syscall.Kill(pid, syscall.SIGCONT)
	}
}

// If workers exit in prepare or before the first request, without an error, there is a pause, clients get 503, and the
// server recovers by itself.
func TestFaultDyingAtBirth(t *testing.T) {
	t.Parallel()
	for mode, end := range map[string]string{"exit": `end="status 7"`, "once": `end="status 0"`} {
		s, file := startFault(t, mode, false)
		s.wait("worker ended", end)
		resp, _, err := fetch("GET", s.url("/"), "")
		if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%v, %v", resp, err)
		}
		time.Sleep(time.Second)
		if n := strings.Count(s.log.String(), "worker ended"); n > 100 {
			t.Errorf("%d workers in a second", n)
		}
		if mode == "once" {
			touch(t, file)
			recovers(t, s)
		}
		s.stop()
	}
}

// If prepare does not return, clients get an error after queue_timeout, and the server can be stopped.
func TestFaultEndlessPrepare(t *testing.T) {
	t.Parallel()
	s, file := startFault(t, "endless", true)
	if got := status(t, "GET", s.url("/")); got != 503 {
		t.Errorf("status %d", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	recovers(t, s)
	touch(t, file)
	for _, pid := range s.workers() {
		kill(t, pid)
	}
	s.wait("worker ended")
	if got := status(t, "GET", s.url("/")); got != 503 {
		t.Errorf("status %d", got)
	}
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	s.signal(syscall.SIGTERM)
	s.exit(0)
}

// If the fork server dies while it loads the script, that is an error at start.
func TestFaultForkServerKilledWhileLoading(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := launch(t, "testdata/loading.lua", fifo)
	s.wait("loading")
	kill(t, s.forkServers()[0])
	s.exit(3)
	s.wait("testdata/loading.lua: its process ended before the script was loaded (signal: killed)")
}

// If it dies repeatedly while it forks, the pauses grow, existing workers keep running, and it recovers.
func TestFaultForkServerKilledWhileForking(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "", false)
	for i := range 6 {
		eventually(t, "a fork server", func() bool { return len(s.forkServers()) == 1 })
		from := s.log.size()
		for _, pid := range s.workers() { // so that it must fork
			kill(t, pid)
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		for _, pid := range s.forkServers() {
			kill(t, pid)
		}
		s.log.wait(t, from, "fork server died", `end="signal: killed"`)
		s.log.wait(t, from, "fork server restarted")
	}
	recovers(t, s)
	s.wantWorkers(2)
}

// A fork server that does not answer is ended, and a new one is started.
func TestFaultForkServerHangs(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "", false)
	s.wantWorkers(2)
	hung := s.forkServers()[0]
	worker := s.worker()
	// It is stopped first: otherwise it may have replaced the worker before it is stopped.
	if err := syscall.Kill(hung, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	kill(t, worker)
	get(t, s.url("/"))
	s.wait("fork server hangs: ending it", "pid="+itoa(hung))
	s.wait("fork server restarted")
	recovers(t, s)
	s.wantWorkers(2)
}

// The system allows no further process.
func TestFaultForkFails(t *testing.T) {
	t.Parallel()
	s := startLimited(t)
	s.wantWorkers(2)
	fork := s.forkServers()[0]
	old, err := limitProcesses(fork, 1)
	if err != nil {
		t.Skip("cannot limit processes: ", err)
	}
	p, other := dial(t, s.address(0)), dial(t, s.address(0))
	// If the other one were still starting, there would be none after the failure.
	eventually(t, "both have started", func() bool {
		p.get("/busy")
		other.get("/busy")
		return p.hears(200) != other.hears(200)
	})
	p.get("/pid")
	pid := p.hears(200)
	from := s.log.size()
	kill(t, number(t, pid))
	s.log.wait(t, from, "fork failed", `err="resource temporarily unavailable"`)
	p.get("/") // the other worker still runs
	p.hears(200)
	for _, pid := range s.workers() {
		kill(t, pid)
	}
	eventually(t, "no worker is left to answer", func() bool {
		status, _, err := p.ask("/")
		if err != nil {
			t.Fatal(err)
		}
		return status == 503
	})
	if n := strings.Count(s.log.String(), "fork failed"); n > 100 {
		t.Errorf("%d attempts", n)
	}
	if _, err := limitProcesses(fork, old); err != nil {
		t.Fatal(err)
	}
	recovers(t, s)
	s.wantWorkers(2)
}

// limitProcesses sets the process limit of a process, which counts all processes of its user, and returns the old
// limit. A thread that runs as that user does it, since not every root may do it for others.
func limitProcesses(pid int, limit uint64) (was uint64, err error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/"+itoa(pid), &stat); err != nil {
		return 0, err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		var old unix.Rlimit
		uid, gid := uintptr(stat.Uid), uintptr(stat.Gid)
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); e != 0 {
			done <- e
			return
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); e != 0 {
			done <- e
			return
		}
		err := unix.Prlimit(pid, unix.RLIMIT_NPROC, nil, &old)
		if err == nil {
			was = old.Cur
			err = unix.Prlimit(pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: limit, Max: old.Max}, nil)
		}
		done <- err
	}()
	err = <-done
	return was, err
}

// startLimited starts the server not as root, so that a process limit applies to its workers.
func startLimited(t *testing.T) *instance {
	t.Helper()
	if os.Getuid() != 0 {
		return start(t, "testdata/fault.lua")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skip("there is no user nobody: ", err)
	}
	dir, err := os.MkdirTemp("", "mbserve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile("testdata/fault.lua")
	program, errProgram := os.Executable()
	if err != nil || errProgram != nil {
		t.Fatal(err, errProgram)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script, ours := filepath.Join(dir, "fault.lua"), filepath.Join(dir, "mbserve")
	if err := os.WriteFile(script, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Link(program, ours) != nil {
		t.Skip("the test binary cannot be linked to ", ours)
	}
	s := launchProgram(t, ours, "-u", "nobody", script)
	s.wait("msg=ready")
	return s
}

// The resources of a pool are bounded, and resources that the system does not provide are reported at start.
func TestFaultNoMemorySegment(t *testing.T) {
	t.Parallel()
	_, stderr := runToEnd(t, 3, "testdata/fault_size.lua", "1000000")
	checkMessage(t, stderr, "fault_size.lua:3: listen: option queue_limit: ", "is not in the range")
	s := launchProgram(t, "/bin/sh", "-c", `ulimit -f 8; exec "$0" "$@"`, program(t), "testdata/fault_size.lua", "10")
	s.exit(3)
	checkMessage(t, s.log.all(t), "fault_size.lua:3: listen: shared memory: ftruncate to ", "file too large")
}

func program(t *testing.T) string {
	t.Helper()
	if name := os.Getenv("MBSERVE_BINARY"); name != "" {
		return name
	}
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
