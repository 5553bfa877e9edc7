package tcpproxy

import (
	"strings"
	"sync/atomic"
	"testing"

	"moonbridge/handler/upstream"
)

// A panic in To ends its own connection, and the log says where it was.
func TestToPanics(t *testing.T) {
	targets := set(t, upstream.Options{}, says(t, "hello"))
	var panicked atomic.Bool
	r := newRig(t, Config{To: func(*Client) *upstream.Set {
		if panicked.CompareAndSwap(false, true) {
			panic("on purpose")
		}
		return targets
	}}, nil)
	if _, reset := isReset(r.dial()); !reset {
		t.Error("not reset")
	}
	if e := r.over(1); e.Err != ErrPanic {
		t.Error(e.Err)
	}
	if got := r.ask(""); got != "hello" {
		t.Errorf("then %q", got)
	}
	until(t, "the log", func() bool {
		return strings.Contains(r.logged(), "tcpproxy.Config.To") && strings.Contains(r.logged(), "hooks_test.go")
	})
}

// One in Ended changes nothing.
func TestEndedPanics(t *testing.T) {
	r := newRig(t, Config{To: To(set(t, upstream.Options{}, says(t, "hello")))}, nil)
	r.proxy.config.Ended = func(*Ended) { panic("on purpose") }
	for range 2 {
		if got := r.ask(""); got != "hello" {
			t.Errorf("%q", got)
		}
	}
	until(t, "the log", func() bool { return strings.Count(r.logged(), "tcpproxy.Config.Ended") >= 2 })
}
