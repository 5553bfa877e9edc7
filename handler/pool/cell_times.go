package pool

import (
	"time"

	"golang.org/x/sys/unix"
)

// times is how long an exchange waits and how long a worker has it, on the loop's clock.
type times struct {
	timed bool  // Times will be asked for
	brief bool  // only for how long it waits
	since int64 // when the exchange came
	done  int64 // when the worker had finished it; 0: not yet
}

// start has an exchange timed that comes now.
func (t *times) start(now int64) { *t = times{timed: true, since: now} }

// count has an exchange timed that came in the turn which began now, without another look at the clock.
func (t *times) count(now int64) { *t = times{timed: true, brief: true, since: now} }

// waited is how long a brief one has waited. claimed and zero are those of split. What is claimed is not compared with the time of
// the end, which is not known: the engine does that.
func (t *times) waited(claimed, zero int64) time.Duration {
	return time.Duration(max(claimed-zero-t.since, 0))
}

// split divides the time of a finished exchange. claimed is when the worker says that it has claimed it, on a clock that
// shows zero when the loop's shows 0, or 0 if none has. It is used as far as it can be true.
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
