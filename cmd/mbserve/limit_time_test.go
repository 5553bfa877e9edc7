package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// startTime starts a server whose handlers may run for the given number of seconds. open releases handlers that wait at
// the FIFO.
func startTime(t *testing.T, limit string) (s *instance, open func()) {
	t.Helper()
	fifo, open := newFIFO(t)
	return start(t, "testdata/limit_time.lua", limit, fifo), open
}

// Whatever a handler is doing when request_timeout is over, the client gets an answer, the worker ends, and the log
// names the request and, where Lua can tell, the line. Parallel requests are not disturbed.
func TestRequestTimeoutOfEveryKind(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "1")
	beside := askLimited(t, s.address(0), "/pid", true)
	const place = "limit_time.lua:11: in function"
	for _, test := range []struct {
		path   string
		status int    // 0: the response is cut off
		phase  string // named by the log
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
			traced(t, s, "path=/"+test.path, test.trace, func(from int) (worker string) {
				resp, _, err := fetch("GET", s.url("/"+test.path+"?secret"), "")
				for n := 0; n < 20 && test.status == 0 && err == nil && resp.StatusCode == 504; n++ { // it has not come so far
					resp, _, err = fetch("GET", s.url("/"+test.path+"?secret"), "")
				}
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
				worker = field(line, "pid")
				s.log.wait(t, from, "worker ended", "pid="+worker, "signal SIGKILL", "err=request_timeout")
				return worker
			})
			if test.path == "command" {
				eventually(t, "the command is killed too", func() bool {
					return !slices.ContainsFunc(marked(s.mark), func(p process) bool { return p.name == "cat" || p.name == "sh" })
				})
			}
		})
	}
	beside.end()
}

// traced repeats something that ends a worker until the log has a traceback: on a busy machine the worker may be killed
// before it has written one.
func traced(t *testing.T, s *instance, who, place string, happen func(from int) (worker string)) {
	t.Helper()
	for range 20 {
		from := s.log.size()
		worker := happen(from)
		has := func(parts ...string) bool {
			for line := range strings.Lines(s.log.String()[from:]) {
				if containsAll(line, append(parts, "pid="+worker)) {
					return true
				}
			}
			return false
		}
		if place == "" || holds(time.Second, func() bool {
			return has("level=ERROR", "request_timeout: still running, ending the worker", who, place)
		}) {
			return
		}
	}
	t.Errorf("no traceback of %s", who)
}

// A client that sends its body slowly uses up the handler's time only if the body is streamed to the handler.
func TestRequestTimeoutWaitsForBody(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "0.5")
	p := dial(t, s.address(0))
	p.say("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 100000))
	p.hears(504)
	s.wait("request_timeout: ending the worker", `request="POST /body"`, "request body: incomplete")
}

func TestRequestTimeoutElsewhere(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "0.3")
	ending := func(from int, who string) (worker string) {
		return field(s.log.wait(t, from, "request_timeout: ending the worker", "request="+who, "phase=running"), "pid")
	}
	const place = "limit_time.lua:11: in function"
	traced(t, s, "in=connection", place, func(from int) string {
		l := dialLines(t, "tcp", rawAddress(t, s, 0))
		fmt.Fprintln(l, "interpreted")
		if err := l.end(); err == nil {
			t.Error("the connection ends normally")
		}
		return ending(from, "connection")
	})
	traced(t, s, "interval=slow", place, func(from int) string { return ending(from, `"interval slow"`) })
}

// The message of a timeout that a script sets itself also names the exchange.
func TestOwnTimeoutIsLogged(t *testing.T) {
	t.Parallel()
	s, _ := startTime(t, "30")
	beside := askBeside(t, s.address(0), "/pid")
	if got := status(t, "GET", s.url("/own")); got != 504 {
		t.Errorf("status %d, want 504", got)
	}
	s.wait("level=ERROR", "limit_time.lua:30: timeout: still running, ending the worker", "path=/own")
	beside.end()
}

// A raw connection is reset if all workers are busy and the queue is full, or if it waits too long.
func TestQueueLimitsOfConnections(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/limit_queue.lua", fifo)
	busy, _ := s.occupyRaw()
	for range 3 { // one of them waits; there is no room for the others
		refusedRaw(t, rawAddress(t, s, 0))
	}
	open()
	busy.end()
	eventually(t, "the worker is free", func() bool {
		l := dialLines(t, "tcp", rawAddress(t, s, 0))
		got, err := l.try("hello")
		return err == nil && got == "hello"
	})
}
