package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const memoryLimit = "16000000"

const reached = "memory_limit of 16000000 bytes was reached: the worker is replaced"

func startMemory(t *testing.T) *instance {
	t.Helper()
	return start(t, "testdata/limit_memory.lua", memoryLimit, filepath.Join(t.TempDir(), "none"))
}

// A handler that uses more memory than its pool allows fails, and its worker is replaced. Other requests are not
// affected.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	s := startMemory(t)
	beside := askBeside(t, s.address(0), "/pid")
	for _, test := range []struct {
		path   string
		status int // 0: the response is cut off
		body   string
	}{
		{"hog", 500, "Internal Server Error\n"},
		{"caught", 200, "not enough memory"},
		{"again", 200, "five times"},
		{"coroutine", 500, "Internal Server Error\n"},
		{"resumed", 200, "not enough memory"},
		{"rep", 500, "Internal Server Error\n"},
		{"long", 500, "Internal Server Error\n"},
		{"long_in_time", 500, "Internal Server Error\n"},
		{"concat", 500, "Internal Server Error\n"},
		{"strings", 500, "Internal Server Error\n"},
		{"late", 0, ""},
	} {
		t.Run(test.path, func(t *testing.T) {
			from := s.log.size()
			resp, body, err := fetch("POST", s.url("/"+test.path), "")
			switch {
			case test.status == 0:
				if err == nil {
					t.Errorf("%s with a complete body of %d bytes", resp.Status, len(body))
				}
			case err != nil:
				t.Fatal(err)
			case resp.StatusCode != test.status || body != test.body:
				t.Errorf("%s: %q, want %d: %q", resp.Status, body, test.status, test.body)
			}
			worker := field(s.log.wait(t, from, reached, "path=/"+test.path), "pid")
			s.log.wait(t, from, "msg=finish", "pid="+worker)
			if test.status == 500 {
				s.log.wait(t, from, "path=/"+test.path, "not enough memory", "pid="+worker)
			}
		})
	}
	beside.end()
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a planned end is logged as unplanned")
	}
}

// Garbage does not count as used memory, and does not end a worker.
func TestMemoryLimitAndGarbage(t *testing.T) {
	t.Parallel()
	s := startMemory(t)
	for range 3 {
		get(t, s.url("/garbage"))
	}
	if strings.Contains(s.log.String(), "memory_limit") {
		t.Error("garbage has reached the limit")
	}
}

// A worker whose memory keeps growing is replaced before a request fails.
func TestMemoryLimitAndLeak(t *testing.T) {
	t.Parallel()
	s := startMemory(t)
	const full = "memory_limit of 16000000 bytes is nearly used up, not counting garbage: the worker is replaced"
	p := dial(t, s.address(0))
	eventually(t, "three workers that are full", func() bool {
		p.get("/leak")
		p.hears(200)
		return strings.Count(s.log.String(), full) >= 3
	})
	if strings.Contains(s.log.String(), "was reached") {
		t.Error("a request has reached the limit")
	}
}

// The limit applies to connections and timers, and to HTTP served by a connect handler.
func TestMemoryLimitElsewhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hungry")
	s := start(t, "testdata/limit_memory.lua", memoryLimit, file)
	l := dialLines(t, "tcp", rawAddress(t, s, 0))
	fmt.Fprintln(l, "hog")
	if err := l.end(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a reset", err)
	}
	s.wait("level=ERROR", "not enough memory", "in=connection")
	from := s.log.size()
	l = dialLines(t, "tcp", rawAddress(t, s, 0))
	if got := l.ask("caught"); got != "not enough memory" {
		t.Errorf("%q", got)
	}
	s.log.wait(t, from, reached, "level=WARN", "in=connection")

	for _, path := range []string{"/hog", "/long"} {
		p := dial(t, rawAddress(t, s, 1))
		p.get("/pid")
		p.hears(200)
		p.get(path)
		p.hears(500)
		s.wait(reached, "path="+path)
	}

	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wait(reached, "interval=hungry")
	get(t, s.url("/pid"))
}

// prepare has the same limit. While it fails, workers are started with pauses in between, and the log says why.
func TestMemoryLimitInPrepare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ what, log string }{
		{"prepare", `msg="not enough memory"`},
		{"script", `msg="memory_limit: the script already uses `},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			s := start(t, "testdata/limit_prepare.lua", test.what)
			began := time.Now()
			s.wait("level=ERROR", test.log, "pool=0", "pid=", "in=prepare")
			if test.what == "prepare" {
				s.wait("memory_limit of 1000000 bytes was reached", "in=prepare")
			} else {
				s.wait("bytes; the limit is 1000000")
			}
			s.wait("worker ended", `end="status 1"`)
			for range 3 {
				if got := status(t, "GET", s.url("/")); got != 503 {
					t.Errorf("status %d, want 503", got)
				}
			}
			attempts := strings.Count(s.log.String(), test.log)
			// min_fork is 2, and a few more may be starting when a failure becomes known.
			if most := 10 * (2 + int(time.Since(began)/(200*time.Millisecond))); attempts > most {
				t.Errorf("%d attempts, with a pause of 0.2 s at most %d", attempts, most)
			}
		})
	}
}
