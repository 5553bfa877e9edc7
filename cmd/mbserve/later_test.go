package main

import (
	"io"
	"syscall"
	"testing"
)

// A handler that waits in moonbridge_io.poll learns that the server stops, or that its script is replaced, whatever kind of
// handler it is. (The main handler: TestMainIsToldToStop.)
func TestPollLearnsOfStop(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"stop": syscall.SIGTERM, "reload": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "testdata/later_stop.lua")
			request, own, raw := dial(t, s.address(0)), dial(t, s.tcp(1)), dial(t, s.tcp(2))
			request.get("/request")
			own.get("/own")
			for _, what := range []string{"request", "own", "raw", "tick"} {
				s.wait(what + " waits")
			}
			s.signal(sig)
			for _, p := range []*peer{request, own} {
				if body := p.hears(200); body != "false true" {
					t.Errorf("the handler of a request got %q", body)
				}
			}
			if text, err := io.ReadAll(raw.r); err != nil || string(text) != "false true" {
				t.Errorf("the handler of a raw connection got %q, %v", text, err)
			}
			s.wait("tick got false true")
			if sig == syscall.SIGHUP {
				s.wait("the replaced script has ended")
				return
			}
			s.exit(exitOK)
		})
	}
}
