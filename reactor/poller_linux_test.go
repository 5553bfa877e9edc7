package reactor

import (
	"math"
	"testing"
	"time"
	"unsafe"
)

// A system that waits for whole milliseconds waits for no less than was asked for, and never for too long to be told.
func TestWaitMS(t *testing.T) {
	for ns, want := range map[int64]int{-1: -1, 1: 1, 999_999: 1, 1_000_000: 1, 1_000_001: 2, math.MaxInt64 / 2: 3_600_000} {
		if got := waitMS(ns); got != want {
			t.Errorf("%d ns: %d ms, want %d", ns, got, want)
		}
	}
}

// A time limit is what the kernel reads, on systems with 32 bits too.
func TestWaitTime(t *testing.T) {
	for ns, want := range map[int64][2]int64{1: {0, 1}, 1e9: {1, 0}, 5_000_000_123: {5, 123}, math.MaxInt64: {9_223_372_036, 854_775_807}} {
		if got := waitTime(ns); got != want {
			t.Errorf("%d ns: %v, want %v", ns, got, want)
		}
	}
	if n := unsafe.Sizeof(waitTime(0)); n != 16 {
		t.Errorf("%d bytes", n)
	}
}

// Without epoll_pwait2 timers fire as well, and not early; and an hour at a time is waited for those that are far away.
func TestCoarseTimers(t *testing.T) {
	l := startLoop(t, Options{})
	late := make(chan time.Duration, 3)
	on(t, l, func() {
		l.poller.coarse = true
		l.After(1000*time.Hour, func() { t.Error("too early") })
		for _, d := range []time.Duration{0, 1500 * time.Microsecond, 20 * time.Millisecond} {
			begin := time.Now()
			l.After(d, func() { late <- time.Since(begin) - d })
		}
	})
	for range 3 {
		if by := wait(t, late, "timer"); by < 0 {
			t.Errorf("%v early", -by)
		}
	}
}

// A turn that comes because of a timer is one, and an idle loop without timers has none.
func TestTimerTurns(t *testing.T) {
	l := startLoop(t, Options{})
	turns := &turnCounter{}
	fired := make(chan struct{})
	on(t, l, func() {
		l.OnTurn(turns)
		l.After(2*time.Millisecond, func() { close(fired) })
	})
	before := turns.count.Load()
	wait(t, fired, "timer")
	if n := turns.count.Load() - before; n < 1 || n > 5 {
		t.Errorf("%d turns", n)
	}
	on(t, l, func() {
		if _, ok := l.wheel.Next(); ok || l.limit() != -1 {
			t.Error("a time limit without a timer")
		}
	})
}
