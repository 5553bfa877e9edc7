package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newFIFO creates a FIFO. Opening it for reading blocks until open is called.
func newFIFO(t testing.TB) (name string, open func()) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, func() {
		t.Helper()
		eventually(t, "a reader waits at the FIFO", func() bool { return openFIFO(name) })
	}
}

// openFIFO releases the reader that waits at a FIFO. It returns false if there is none.
func openFIFO(name string) bool {
	fd, err := syscall.Open(name, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err == nil
}

func TestHello(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/hello.lua")
	ready := s.wait("msg=ready")
	if !containsAll(ready, []string{"script=testdata/hello.lua", "loops=", "version="}) {
		t.Errorf("ready line %q", ready)
	}
	if got := get(t, s.url("/?name=Moon")); got != "Hello, Moon!\n" {
		t.Errorf("body %q", got)
	}
	s.stop()
	s.wait("msg=stopped")
	if !refuses(s.address(0)) {
		t.Error("the port is still open")
	}
}

func TestSignalsThatEnd(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := start(t, "testdata/hello.lua")
			idle := dial(t, s.address(0))
			idle.get("/")
			idle.hears(200)
			s.signal(sig)
			idle.hearsBreak()
			s.exit(0)
		})
	}
}

// A graceful stop closes listeners and idle connections at once, and completes a running request.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/wait.lua", fifo)
	busy, idle := dial(t, s.address(0)), dial(t, s.address(0))
	idle.get("/")
	idle.hears(200)
	busy.get("/wait")
	s.wait("waiting")
	s.signal(syscall.SIGTERM)
	idle.hearsEnd()
	if !refuses(s.address(0)) {
		t.Error("a new connection was accepted after TERM")
	}
	open()
	if got := busy.hears(200); got != "done" {
		t.Errorf("body %q", got)
	}
	busy.hearsEnd()
	s.exit(0)
	if n := strings.Count(s.log.String(), "finished"); n < 2 {
		t.Errorf("finish ran in %d workers, want at least 2", n)
	}
}

// Requests that wait for a worker are answered too.
func TestGracefulStopAnswersTheQueue(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "-s", "testdata/wait.lua", fifo) // two workers
	var peers []*peer
	for i := range 10 {
		p := dial(t, s.address(0))
		if i < 2 {
			p.get("/wait")
			eventually(t, "it runs", func() bool { return strings.Count(s.log.String(), "msg=waiting") == i+1 })
		} else {
			p.get("/")
		}
		peers = append(peers, p)
	}
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	eventually(t, "refused", func() bool { return refuses(s.address(0)) })
	open()
	for _, p := range peers {
		if got := p.hears(200); got != "done" {
			t.Errorf("body %q", got)
		}
		p.hearsEnd()
	}
	s.exit(0)
	if line := s.wait("msg=stats"); field(line, "exchanges") != "10" {
		t.Errorf("stats %q", line)
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(second.String(), func(t *testing.T) {
			t.Parallel()
			fifo, _ := newFIFO(t)
			s := start(t, "--grace", "1h", "testdata/wait.lua", fifo)
			busy := dial(t, s.address(0))
			busy.get("/wait")
			s.wait("waiting")
			s.signal(syscall.SIGTERM)
			s.wait("msg=stopping ")
			s.signal(second)
			busy.hearsBreak()
			s.exit(0)
		})
	}
}

// A tick in progress is completed, and finish runs to its end.
func TestGracefulStopOfTimers(t *testing.T) {
	t.Parallel()
	tick, endTick := newFIFO(t)
	last, endLast := newFIFO(t)
	s := start(t, "testdata/slow_end.lua", tick, last)
	s.wait("tick begins")
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	endTick()
	s.wait("tick ends")
	eventually(t, "finish begins", func() bool {
		openFIFO(tick) // another tick may have started before the pool was told to stop
		return strings.Contains(s.log.String(), "finish begins")
	})
	endLast()
	s.exit(0)
	s.wait("finish ends")
	log := s.log.String()
	if begun, ended := strings.Count(log, "tick begins"), strings.Count(log, "tick ends"); begun != ended {
		t.Errorf("%d ticks have started, %d have ended", begun, ended)
	}
}

// A finish that does not return is stopped after the grace time.
func TestFinishHangs(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	a := newApplication(t)
	a.write(`@ listen{ port, min_fork = 1, max_fork = 1, connect = say("ready"), finish = function()
		io.stderr:write("finish begins\n")
		io.open(%q):close()
	end }`, fifo)
	s := start(t, "--grace", "1", a.script)
	get(t, s.url("/")) // the worker is there
	s.signal(syscall.SIGTERM)
	s.wait("finish begins")
	s.exit(0)
	s.wait("workers were killed")
}

// A request that takes longer than the grace time does not keep the server running.
func TestGraceOver(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "--grace", "0.3", "testdata/wait.lua", fifo)
	busy := dial(t, s.address(0))
	busy.get("/wait")
	s.wait("waiting")
	s.signal(syscall.SIGTERM)
	busy.hearsBreak()
	s.exit(0)
	s.wait("workers were killed")
}

func TestQuitWhileBusy(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/wait.lua", fifo)
	busy := dial(t, s.address(0))
	busy.get("/wait")
	s.wait("waiting")
	s.signal(syscall.SIGQUIT)
	busy.hearsBreak()
	s.exit(0)
}

// The server can be stopped before it has started.
func TestStopWhileLoading(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			fifo, _ := newFIFO(t)
			s := launch(t, "testdata/loading.lua", fifo)
			s.wait("loading")
			s.signal(sig)
			s.exit(0)
		})
	}
}

// Signals other than those to stop do not abort loading, and a signal to stop still works after them.
func TestOtherSignalsWhileLoading(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := launch(t, "testdata/loading.lua", fifo)
	s.wait("loading")
	s.signal(syscall.SIGUSR1)
	s.signal(syscall.SIGHUP)
	select {
	case <-s.exited:
		t.Error("ended")
	case <-time.After(200 * time.Millisecond):
	}
	s.signal(syscall.SIGTERM)
	s.exit(0)
}

// The child processes of a killed server end by themselves.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/wait.lua", fifo)
	busy := dial(t, s.address(0))
	busy.get("/wait")
	s.wait("waiting")
	s.signal(syscall.SIGKILL)
	s.exit(-1)
}

// Nor does it leave a process behind if the script hangs while it is loaded, or in its tests.
func TestServerKilledWhileScriptRuns(t *testing.T) {
	t.Parallel()
	const hello = `listen{ { proto = "tcp4", port = 0, localhost = true }, connect = function() end }`
	for name, text := range map[string]string{
		"loop":    `io.stderr:write("runs\n") while true do end`,
		"program": `os.execute("echo runs >&2; exec sleep 1000; exit")`,
		"listens": hello + ` io.stderr:write("runs\n") while true do end`,
		"test":    `require("moonbridge.test").case("x", function() io.stderr:write("runs\n") while true do end end)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			script := filepath.Join(dir, "script.lua")
			args := []string{"--log-format", "text", script}
			if name == "test" {
				tests := filepath.Join(dir, "tests.lua")
				if err := os.WriteFile(tests, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				text, args = hello, append([]string{"--selftest", tests, "--selftest-timeout", "300"}, args...)
			}
			if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			s := launch(t, args...)
			s.wait("runs")
			s.signal(syscall.SIGKILL)
			s.exit(-1)
		})
	}
}
