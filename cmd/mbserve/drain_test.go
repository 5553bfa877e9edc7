package main

import (
	"syscall"
	"testing"
)

// After TERM the server is not ready, and serves new connections for the time of --drain-delay. A second TERM ends that.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false", "--drain-delay", "3600")
	s.signal(syscall.SIGTERM)
	s.wait("serving on before the stop", "drain_delay=1h0m0s")
	resp, text, err := fetch("GET", s.admin("/readyz"), "")
	if err != nil || resp.StatusCode != 503 || text != "the server is stopping\n" {
		t.Errorf("%v, %q", err, text)
	}
	if got := get(t, s.admin("/healthz")); got != "ok\n" {
		t.Errorf("health: %q", got)
	}
	for range 3 {
		if got := get(t, s.url("/ok")); got != "ok" {
			t.Errorf("%q", got)
		}
	}
	s.signal(syscall.SIGHUP) // not now
	s.signal(syscall.SIGTERM)
	s.wait("stopping at once")
	s.exit(0)
}

// When the time is over, the server stops as without it.
func TestDrainDelayEnds(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false", "--drain-delay", "100ms")
	s.signal(syscall.SIGTERM)
	s.wait("serving on before the stop")
	s.wait("msg=stopping")
	s.wait("msg=stopped")
	s.exit(0)
}
