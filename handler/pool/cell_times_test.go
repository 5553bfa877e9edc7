package pool

import (
	"testing"
	"time"
)

// The time at which a worker says it took an exchange is believed as far as it can be true.
func TestTimes(t *testing.T) {
	const clockAt = 1_000_000 // the worker's clock when the loop's shows 0
	for _, c := range []struct {
		name           string
		claimed        uint64
		queue, service time.Duration
	}{
		{"true", clockAt + 130, 30, 70},
		{"by no worker", 0, 100, 0},
		{"before it was there", clockAt + 99, 0, 100},
		{"long ago", 1, 0, 100},
		{"after its end", clockAt + 201, 100, 0},
		{"far off", 1 << 62, 100, 0},
		{"negative", 1<<64 - 5, 0, 100},
	} {
		x := times{timed: true, since: 100, done: 200}
		if q, s := x.split(int64(c.claimed), clockAt); q != c.queue || s != c.service {
			t.Errorf("%s: %v in the queue, %v in the worker, want %v and %v", c.name, q, s, c.queue, c.service)
		}
	}
}

// The clock of workers runs like ours.
func TestMonotonic(t *testing.T) {
	a := monotonic()
	time.Sleep(time.Millisecond)
	if d := monotonic() - a; a == 0 || d < int64(time.Millisecond) || d > int64(time.Minute) {
		t.Errorf("%d ns", d)
	}
}
