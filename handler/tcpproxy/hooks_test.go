package tcpproxy

import (
	"bytes"
	"log/slog"
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
	if !r.refused() {
		t.Error("not refused")
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
	var log bytes.Buffer
	p := New(Config{Ended: func(*Ended) { panic("on purpose") }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	(&session{p: p}).tellEnded(&Ended{})
	if text := log.String(); !strings.Contains(text, "tcpproxy.Config.Ended") || !strings.Contains(text, "hooks_test.go") {
		t.Errorf("log %q", text)
	}
}
