package pool

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A worker is killed when its time is over: after it has closed its control socket, or at a time that was set.
func TestExitLate(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		name string
		e    exit
		want bool
	}{
		{"nothing expected of it", exit{}, false},
		{"just hung up", exit{hungUp: now.Add(-hangupGrace + 1)}, false},
		{"hung up", exit{hungUp: now.Add(-hangupGrace)}, true},
		{"due later", exit{due: now.Add(1)}, false},
		{"due", exit{due: now}, true},
	} {
		if got := c.e.late(now); got != c.want {
			t.Errorf("%s: late %v", c.name, got)
		}
	}
}

// Which ends are expected, and what they are called.
func TestExitJudge(t *testing.T) {
	status := func(code int) unix.WaitStatus { return unix.WaitStatus(code << 8) }
	for _, c := range []struct {
		quit     bool
		e        exit
		expected bool
		how      string
	}{
		{true, exit{}, true, "unknown"},
		{true, exit{reaped: true}, true, "status 0"},
		{true, exit{reaped: true, status: status(1)}, false, "status 1"},
		{true, exit{reaped: true, status: unix.WaitStatus(unix.SIGKILL)}, false, "signal SIGKILL"},
		{false, exit{reaped: true}, false, "status 0"},
		{false, exit{}, false, "unknown"},
	} {
		c.e.judge(c.quit)
		if c.e.expected != c.expected || c.e.how() != c.how {
			t.Errorf("quit %v: expected %v, %s, want %v, %s", c.quit, c.e.expected, c.e.how(), c.expected, c.how)
		}
	}
}

// All workers of one time can be made stale, once, and the next one is not.
func TestSeqs(t *testing.T) {
	var s seqs
	a, b := s.next(), s.next()
	if s.isStale(a) || s.isStale(b) {
		t.Error("new workers are stale")
	}
	if !s.allStale() || s.allStale() {
		t.Error("allStale did nothing, or did it twice")
	}
	if c := s.next(); !s.isStale(a) || !s.isStale(b) || s.isStale(c) {
		t.Error("the wrong workers are stale")
	}
	if !s.allStale() {
		t.Error("allStale does nothing about a newer worker")
	}
}
