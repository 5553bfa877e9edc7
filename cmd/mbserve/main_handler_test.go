package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The end of a main handler is a graceful stop of the server. The exit code tells an operator whether it has failed.
func TestMainEnds(t *testing.T) {
	for _, c := range []struct {
		what string
		code int
		log  []string
	}{
		{"returns", exitOK, []string{`msg="main has ended: stopping" pool=0 name=events`}},
		{"fails", exitRunning, []string{"level=ERROR", "main_handler.lua:", "on purpose", "in=main main=events",
			`level=ERROR msg="main has failed: stopping" pool=0 name=events`}},
		{"dies", exitRunning, []string{`end="status 7" lost=1`, `msg="main has failed: stopping"`}},
		{"killed", exitRunning, []string{`end="signal SIGKILL" lost=1`, `msg="main has failed: stopping"`}},
		{"overdue", exitRunning, []string{"timeout: still running, ending the worker", `end="status 124"`, `msg="main has failed: stopping"`}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			fifo, open := newFIFO(t)
			s := start(t, "testdata/main_handler.lua", c.what, fifo)
			p := dial(t, s.address(0))
			p.get("/")
			if body := p.hears(200); body != "hello" {
				t.Errorf("%q", body)
			}
			open()
			s.exit(c.code)
			for _, text := range c.log {
				if !strings.Contains(s.log.String(), text) {
					t.Errorf("the log has no %q", text)
				}
			}
			if !strings.Contains(s.log.String(), "msg=finish") || strings.Contains(s.log.String(), "workers were killed") {
				t.Error("the workers have not ended normally")
			}
		})
	}
}

// A main handler runs as long as the server. No limit of its pool ends it, it learns at once that the server is to stop, and
// has the grace time to end, after which the server ends like any other.
func TestMainIsToldToStop(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/main_handler.lua", "stops", fifo)
	s.wait("main runs as events")
	for range 5 { // each replaces a worker
		p := dial(t, s.address(0))
		p.get("/")
		p.hears(200)
		p.Close()
	}
	if strings.Contains(s.log.String(), "main is told") {
		t.Error("the handler is told to end before the server is")
	}
	s.signal(syscall.SIGTERM)
	s.wait("main is told: false, true")
	open()
	s.exit(exitOK)
	if log := s.log.String(); !strings.Contains(log, "main ends") || strings.Contains(log, "stopping\" pool") || strings.Contains(log, "request_timeout") {
		t.Error("not as it should be")
	}
}

// The handler is told before connections are waited for, which may take long.
func TestMainIsToldFirst(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	stream, finish := newFIFO(t)
	a := newApplication(t)
	a.write(`@
		listen{ port, connect = http.generate_handler(function(request)
			request:send_status("200 OK")
			request:send_data("begun\n")
			request:flush()
			io.open(%q):close()
		end) }
		listen{ { proto = "main", name = "m", connect = function()
			io.stderr:write("main runs\n")
			moonbridge_io.poll(nil, nil, nil, true)
			io.open(%q):close()
			io.stderr:write("main has gone\n")
		end } }`, stream, fifo)
	s := start(t, a.script)
	s.wait("main runs")
	p := dial(t, s.address(0))
	p.get("/")
	for line := ""; line != "begun\n"; {
		var err error
		if line, err = p.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGTERM)
	open()
	s.wait("main has gone")
	finish()
	s.exit(exitOK)
}

// Over a reload the old script's main handler is told to end, and the new script's begins when it has ended. That is no reason
// for the server to stop.
func TestMainOverReload(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	events := newEvents(t)
	a := newApplication(t)
	write := func(n int) {
		a.write(`@
			listen{ port, connect = say "script %d" }
			%s`, n, events.mainHandler(n, fifo))
	}
	write(1)
	s := start(t, a.script)
	s.wait("begin 1")
	write(2)
	s.mustReload()
	s.wait("told 1")
	p := dial(t, s.address(0))
	p.get("/")
	if body := p.hears(200); body != "script 2" {
		t.Errorf("%q", body)
	}
	if strings.Contains(s.log.String(), "begin 2") {
		t.Error("two at a time")
	}
	open()
	s.wait("begin 2")
	s.wait("the replaced script has ended")
	s.signal(syscall.SIGTERM)
	s.wait("told 2")
	open()
	s.exit(exitOK)
	events.check("begin 1", "told 1", "end 1", "begin 2", "told 2", "end 2")
}

// A main handler that does not listen is ended by the next reload, when the grace time is over.
func TestMainOutstaysReload(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	write := func(n int, handler string) {
		a.write(`@
			listen{ port, connect = say "script %d" }
			listen{ { proto = "main", name = "m", connect = function()
				io.stderr:write("begin %d\n")
				%s
			end } }`, n, n, handler)
	}
	write(1, "moonbridge_io.poll()")
	s := start(t, "--grace", "1", a.script)
	s.wait("begin 1")
	write(2, "moonbridge_io.poll(nil, nil, nil, true)")
	s.mustReload()
	p := dial(t, s.address(0))
	p.get("/")
	if body := p.hears(200); body != "script 2" {
		t.Errorf("%q", body)
	}
	s.signal(syscall.SIGHUP)
	s.wait("reload waits for the previously replaced script to end")
	s.wait("begin 2")
	s.signal(syscall.SIGTERM)
	s.exit(exitOK)
}

// The same when another process takes over.
func TestMainOverUpgrade(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	events := newEvents(t)
	a := newApplication(t)
	write := func(n int) {
		a.write("%s", events.mainHandler(n, fifo))
	}
	write(1)
	pidName := filepath.Join(t.TempDir(), "pid")
	s := start(t, "-p", pidName, a.script)
	s.wait("begin 1")
	write(2)
	s.signal(syscall.SIGUSR2)
	s.wait("handed over")
	s.wait("told 1")
	if strings.Contains(s.log.String(), "begin 2") {
		t.Error("two at a time")
	}
	open()
	s.wait("begin 2")
	s.awaitExit()
	events.check("begin 1", "told 1", "end 1", "begin 2")
	text, err := os.ReadFile(pidName)
	if err != nil {
		t.Fatal(err)
	}
	heir := number(t, strings.TrimSpace(string(text)))
	if err := syscall.Kill(heir, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait("told 2")
	open()
	s.ended = true
	s.checkProcesses()
}

// events is a file in which workers write down what happens. Unlike the log, whose lines come through a pipe for each worker,
// it shows the order of events in different workers.
type events struct {
	t    testing.TB
	file string
}

func newEvents(t testing.TB) events { return events{t, filepath.Join(t.TempDir(), "events")} }

// mainHandler is the script of a main handler that is told to end, and ends when the FIFO is opened. event(text) writes the text to the
// file, and then to the log.
func (e events) mainHandler(n int, fifo string) string {
	return fmt.Sprintf(`
		local function event(text)
			local file = assert(io.open(%q, "a"))
			file:write(text, "\n")
			file:close()
			io.stderr:write(text, "\n")
		end
		listen{ { proto = "main", name = "m", connect = function()
			event("begin %d")
			moonbridge_io.poll(nil, nil, nil, true)
			event("told %d")
			io.open(%q):close()
			event("end %d")
		end } }`, e.file, n, n, fifo, n)
}

// check checks what happened.
func (e events) check(want ...string) {
	e.t.Helper()
	text, err := os.ReadFile(e.file)
	if err != nil {
		e.t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"); !slices.Equal(got, want) {
		e.t.Errorf("events are %q, not %q", got, want)
	}
}
