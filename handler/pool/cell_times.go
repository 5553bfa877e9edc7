package pool

import (
	"time"

	"golang.org/x/sys/unix"
)

// times is how long an exchange waits and how long a worker has it, on the loop's clock.
type times struct {
	timed bool  // Times will be asked for
	since int64 // when the exchange came
	done  int64 // when the worker had finished it; 0: not yet
}

// start has an exchange timed that comes now.
func (t *times) start(now int64) { *t = times{timed: true, since: now} }

// split divides the time of a finished exchange. claimed is when the worker says that it has claimed it, on a clock that
// shows zero when the loop's shows 0, or 0 if none has. It is believed as far as it can be true.
func (t *times) split(claimed, zero int64) (queue, service time.Duration) {
	at := t.done // by no worker
	if claimed != 0 {
		at = min(max(claimed-zero, t.since), t.done)
	}
	return time.Duration(at - t.since), time.Duration(t.done - at)
}

// monotonic is the clock that workers read, in ns. It runs like that of the loop, from another zero.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano()
}
