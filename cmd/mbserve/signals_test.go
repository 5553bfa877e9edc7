package main

import (
	"path/filepath"
	"syscall"
	"testing"
)

// HUP and USR2 that come while the script is loading are done when the server is ready, each once.
func TestSignalsBeforeReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		done   string
	}{{"HUP", syscall.SIGHUP, "msg=reloaded"}, {"USR2", syscall.SIGUSR2, `msg="handed over"`}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fifo, open := newFIFO(t)
			s := launch(t, "testdata/slow_load.lua", fifo, filepath.Join(t.TempDir(), "loads"))
			s.wait("loading")
			for range 3 {
				s.signal(c.signal)
			}
			s.wait(`msg="signal remembered until the server is ready"`, "signal="+c.name)
			open()
			s.wait("msg=ready")
			s.wait(c.done)
			if c.signal == syscall.SIGUSR2 {
				heir := number(t, field(s.wait(`msg="handed over"`), "pid"))
				s.log.wait(t, 0, "msg=ready", "pid="+itoa(heir))
				syscall.Kill(heir, syscall.SIGTERM)
				s.exit(0)
				return
			}
			if got := get(t, s.url("/")); got != "2" {
				t.Errorf("loaded %s times, want 2", got)
			}
		})
	}
}
