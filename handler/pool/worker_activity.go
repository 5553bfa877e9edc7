package pool

import "time"

// activity is what the supervisor has seen a worker do. Under Pool.mu.
type activity struct {
	forked   time.Time
	ready    bool      // prepare has returned
	last     time.Time // last seen busy
	stirred  time.Time // last seen idle, or to have finished an exchange since the last update
	finished uint64    // exchanges, at the last update
	limit    uint64    // exchanges after which it is recycled; 0: none
}

// update compares what the worker does now with what it did at the last update.
func (a *activity) update(busy bool, finished uint64, now time.Time) {
	if busy || finished != a.finished {
		a.last = now
	}
	if !busy || finished != a.finished {
		a.stirred = now
	}
	a.finished = finished
}

// exhausted reports whether the worker has had as many exchanges as it may.
func (a *activity) exhausted() bool { return a.limit > 0 && a.finished >= a.limit }

// age is how long ago the worker was forked.
func (a *activity) age(now time.Time) time.Duration { return now.Sub(a.forked) }

// jitter spreads a limit by a tenth to either side, so that workers of the same age are not all replaced at once.
func jitter(limit int, seq uint64) uint64 {
	if limit <= 0 {
		return 0
	}
	span := uint64(limit)/5 + 1
	mixed := seq * 0x9e3779b97f4a7c15 >> 33 // consecutive numbers, well spread
	return max(1, uint64(limit)-uint64(limit)/10+mixed%span)
}
