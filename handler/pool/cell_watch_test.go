package pool

import (
	"testing"
	"time"
)

// What a loop does about a worker that has an exchange, by the time.
func TestWatch(t *testing.T) {
	const begin = int64(time.Hour)
	at := func(d time.Duration) int64 { return begin + int64(d) }
	var w watch
	w.start(begin)
	w.start(at(time.Second)) // it is watched already
	if got := w.lasts(at(3 * time.Second)); got != 3*time.Second {
		t.Errorf("the exchange lasts %v", got)
	}
	if !w.mayBegin(at(beginSpan-1)) || w.mayBegin(at(beginSpan)) {
		t.Error("a worker may be on its way to the exchange for beginSpan, and no longer")
	}
	w.began = true
	if w.mayBegin(at(0)) {
		t.Error("a worker that was at the exchange is on its way to it")
	}
	for _, c := range []struct {
		what string
		due  func(now int64) bool
		at   time.Duration
		want bool
	}{
		{"stir", w.stir, stirEvery - 1, false},
		{"stir", w.stir, stirEvery, true},
		{"stir", w.stir, 2*stirEvery - 1, false},
		{"stir", w.stir, 2 * stirEvery, true},
		{"flush", w.flush, flushAfter - 1, false},
		{"flush", w.flush, flushAfter, true},
		{"flush", w.flush, 2*flushAfter - 1, false},
		{"flush", w.flush, 2 * flushAfter, true},
	} {
		if got := c.due(at(c.at)); got != c.want {
			t.Errorf("%s after %v: %v", c.what, c.at, got)
		}
	}
}
