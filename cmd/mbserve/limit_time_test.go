package main

import (
	"fmt"
	"strings"
	"testing"
)

// startTime starts a server whose handlers may run for so many seconds. open ends who waits at the FIFO.
func startTime(t *testing.T, limit string) (s *instance, open func()) {
	t.Helper()
	fifo, open := newFIFO(t)
	return start(t, "testdata/limit_time.lua", limit, fifo), open
}

// Whatever a handler does when request_timeout is over: the client gets its answer, the worker ends, the log says of
// which request and, where Lua can be asked, of which line. Requests beside it are not disturbed.
func TestRequestTimeoutOfEveryKind(t *testing.T) {
	t.Parallel()
	s, open := startTime(t, "0.5")
	beside := askBeside(t, s.address(0), "/pid")
	const place = "limit_time.lua:11: in function"
	for _, test := range []struct {
		path   string
		status int    // 0: the response breaks off
		phase  string // that the log names
		trace  string // part of the traceback; empty: there may be none
	}{
		{"compiled", 504, "no response yet", ""},
		{"interpreted", 504, "no response yet", place},
		{"stubborn", 504, "no response yet", place},
		{"command", 504, "no response yet", ""},
		{"fifo", 504, "no response yet", ""},
		{"late", 0, "response: 1", place},
	} {
		t.Run(test.path, func(t *testing.T) {
			from := s.log.size()
			resp, _, err := fetch("GET", s.url("/"+test.path+"?secret"), "")
			switch {
			case test.status == 0:
				if err == nil {
					t.Errorf("%s with a complete body", resp.Status)
				}
			case err != nil:
				t.Fatal(err)
			case resp.StatusCode != test.status:
				t.Errorf("%s, want %d", resp.Status, test.status)
			}
			line := s.log.wait(t, from, "request_timeout: ending the worker", `request="GET /`+test.path+`"`, test.phase, "pool=0", "running=")
			worker := field(line, "pid")
			if test.trace != "" {
				s.log.wait(t, from, "GET /"+test.path+": request_timeout: still running", "pid="+worker)
				s.log.wait(t, from, test.trace, "pid="+worker)
			}
			s.log.wait(t, from, "worker ended", "pid="+worker, "signal SIGKILL", "err=request_timeout")
			if test.path == "command" {
				open() // the command is a process of its own, and goes on
			}
		})
	}
	beside.end()
}

// A client that is slow to send its body is no matter of the handler's time, but for what is streamed to it.
func TestRequestTimeoutWaitsForBody(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "0.5")
	p := dial(t, s.address(0))
	p.say("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 100000))
	p.hears(504)
	s.wait("request_timeout: ending the worker", `request="POST /body"`, "request body: not yet there in full")
}

func TestRequestTimeoutElsewhere(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "0.3")
	l := dialLines(t, "tcp", rawAddress(t, s, 0))
	fmt.Fprintln(l, "interpreted")
	if err := l.end(); err == nil {
		t.Error("the connection ends as if all was well")
	}
	for _, who := range []string{"connection", "interval slow"} {
		s.wait("request_timeout: ending the worker", who, "phase=running")
		s.wait(who + ": request_timeout: still running, the worker is ended")
	}
}

// What a script sets for itself names the exchange as well.
func TestOwnTimeoutIsLogged(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "30")
	beside := askBeside(t, s.address(0), "/pid")
	if got := status(t, "GET", s.url("/own")); got != 504 {
		t.Errorf("status %d, want 504", got)
	}
	s.wait("GET /own: ", "limit_time.lua:30: timeout: still running, the worker is ended")
	beside.end()
}

// A raw connection that finds all workers busy and the queue full, or waits in it for too long, is reset.
func TestQueueLimitsOfConnections(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/limit_queue.lua", fifo)
	busy := dialLines(t, "tcp", rawAddress(t, s, 0))
	fmt.Fprintln(busy, "wait")
	s.wait("msg=waiting")
	for range 3 { // one of them waits, the others find no room
		l := dialLines(t, "tcp", rawAddress(t, s, 0))
		if err := l.end(); err == nil {
			t.Error("the connection ends as if all was well")
		}
	}
	open()
	busy.end()
	l := dialLines(t, "tcp", rawAddress(t, s, 0))
	if got := l.ask("hello"); got != "hello" {
		t.Errorf("%q", got)
	}
}
