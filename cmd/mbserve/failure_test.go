package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A failure in a handler affects only its request.
func TestHandlerFails(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/errors.lua")
	tests := []struct {
		path   string
		status int
		log    []string // parts of a line
	}{
		{"error", 500, []string{"level=ERROR", `msg="testdata/errors.lua:8: it is broken"`, "method=POST path=/error request_id=", "stack traceback:", "errors.lua:11: in function"}},
		{"object", 500, []string{`msg="an object that explains itself"`, "path=/object"}},
		{"nothing", 500, []string{"testdata/errors.lua:", "the handler has sent no status", "path=/nothing"}},
		{"unknown", 500, []string{"testdata/errors.lua:39: attempt to call", "path=/unknown"}},
		{"held", 500, []string{"testdata/errors.lua:24: early enough", "path=/held"}},
		{"exit", 502, []string{`msg="worker ended"`}},
		{"segfault", 502, []string{`end="signal SIGSEGV"`}},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			from := s.log.size()
			resp, body, err := fetch("POST", s.url("/"+test.path+"?secret"), "x")
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("%s, %v, want status %d", resp.Status, resp.Header, test.status)
			}
			if strings.Contains(body, "lua") {
				t.Errorf("the client got %q", body)
			}
			s.log.wait(t, from, test.log...)
			get(t, s.url("/pid"))
		})
	}
}

// A Lua error does not end the worker.
func TestWorkerSurvivesErrors(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/errors.lua")
	p := dial(t, s.address(0))
	p.get("/pid")
	p.hears(200)
	before := s.workers()
	for range 20 {
		p.get("/error")
		p.hears(500)
	}
	after := s.workers() // there may be more if requests were slow
	for _, pid := range before {
		if !slices.Contains(after, pid) {
			t.Errorf("worker %d of %v is not among %v", pid, before, after)
		}
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a worker has ended")
	}
}

// A response that has started can no longer become an error. It is cut off, so that clients do not take it for
// complete.
func TestErrorAfterTheHead(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/errors.lua")
	resp, body, err := fetch("GET", s.url("/late"), "")
	if err == nil {
		t.Errorf("%s with a complete body of %d bytes", resp.Status, len(body))
	}
	s.wait("testdata/errors.lua:19: too late", "path=/late")
	get(t, s.url("/pid"))
}

// If a handler returns false, its worker is replaced, without a warning in the log.
func TestHandlerEndsItsWorker(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/errors.lua")
	seen := map[string]bool{}
	p := dial(t, s.address(0))
	for range 10 {
		p.get("/pid")
		seen[p.hears(200)] = true
		p.get("/last")
		if got := p.hears(200); got != "the last one" {
			t.Errorf("body %q", got)
		}
	}
	if len(seen) < 4 {
		t.Errorf("only workers %v", seen)
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a planned end is logged as unplanned")
	}
}

// While prepare fails, there is no worker to answer: clients are told to retry later, and the log says why.
func TestPrepareFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	s := start(t, "testdata/prepare_fails.lua", file)
	s.wait("level=ERROR", "testdata/prepare_fails.lua:8: "+file+": No such file or directory", "pool=0", "pid=", "in=prepare", "stack traceback:")
	s.wait("worker ended")
	began := time.Now()
	for time.Since(began) < time.Second {
		resp, _, err := fetch("GET", s.url("/"), "")
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 503 {
			t.Fatalf("status %d, want 503", resp.StatusCode)
		}
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Fatalf("Retry-After %q", resp.Header.Get("Retry-After"))
		}
	}
	attempts := func() int { return strings.Count(s.log.String(), "in=prepare") }
	eventually(t, "further attempts", func() bool { return attempts() >= 6 })
	// min_fork is 2, and a few more may have been starting when a failure became known.
	if n, most := attempts(), 10*(2+int(time.Since(began)/(300*time.Millisecond))); n > most {
		t.Errorf("%d attempts, with a pause of 0.3 s at most %d", n, most)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer", func() bool { return status(t, "GET", s.url("/")) == 200 })
}

// finish runs in every worker that ends normally.
func TestFinish(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	s := start(t, "testdata/finish.lua", file)
	s.wantWorkers(3)
	get(t, s.url("/"))
	get(t, s.url("/last"))
	eventually(t, "finish after false", func() bool { return strings.Contains(read(file), "finish") })
	s.wantWorkers(3)
	eventually(t, "a fourth prepare", func() bool { return strings.Count(read(file), "prepare") == 4 })
	s.stop()
	began, ended := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(read(file)) {
		what, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
		set := began
		if what == "finish" {
			set = ended
		}
		if set[pid] {
			t.Errorf("%s twice in %s", what, pid)
		}
		set[pid] = true
	}
	if len(began) != 4 || len(ended) != 4 {
		t.Errorf("%d workers have started, %d have finished, want 4:\n%s", len(began), len(ended), read(file))
	}
	for pid := range ended {
		if !began[pid] {
			t.Errorf("%s has finished without a start", pid)
		}
	}
}

func read(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}

// A handler that runs too long is stopped, whatever it does.
func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/timeout.lua")
	p := dial(t, s.address(0))
	for range 2 {
		p.get("/loop")
		p.hears(504)
		p.get("/")
		p.hears(200)
	}
	s.wait("worker ended", "signal SIGKILL", "request_timeout")
}

// Requests that are too many for the pool are refused, at once or after a while.
func TestQueueLimits(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/queue.lua", fifo)
	busy, _ := s.occupyHTTP()
	began := time.Now()
	var waiting [3]*peer
	for i := range waiting {
		waiting[i] = dial(t, s.address(0))
		waiting[i].get("/")
	}
	// One request waits for queue_timeout, the others are refused at once. Which one waits depends on the loops.
	for _, p := range waiting {
		p.hears(503)
	}
	if d := time.Since(began); d < 400*time.Millisecond {
		t.Errorf("all were refused after %v", d)
	}
	open()
	busy.hears(200)
	eventually(t, "the worker is free", func() bool {
		code, _, err := waiting[0].ask("/")
		return err == nil && code == 200
	})
}
