package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// hangupGrace is how long a worker may live after it has closed its control socket.
const hangupGrace = time.Second

// corruptGrace is how long workers may go on that were there when shared memory was found destroyed. A variable for tests.
var corruptGrace = 5 * time.Second

// exit is how a worker comes to its end. Under Pool.mu.
type exit struct {
	told     bool      // to end: nothing is missing then when it does
	killed   bool      // SIGKILL was sent
	due      time.Time // when it is killed if it has not ended; zero: never
	hungUp   time.Time // when its control socket was closed; zero: it is open
	status   unix.WaitStatus
	reaped   bool   // status is what waitpid said
	expected bool   // the end was not a failure
	cause    string // why it has ended, when that is counted
}

// late reports whether the worker should have ended by now.
func (e *exit) late(now time.Time) bool {
	if !e.hungUp.IsZero() && now.Sub(e.hungUp) >= hangupGrace {
		return true
	}
	return !e.due.IsZero() && !now.Before(e.due)
}

// judge decides whether the end was expected: the worker was to quit, and did not fail doing so, as far as is known.
func (e *exit) judge(quit bool) {
	e.expected = quit && (!e.reaped || e.status.Exited() && e.status.ExitStatus() == 0)
}

// crashed reports whether a signal other than our SIGKILL has ended it. To write a core may take longer than hangupGrace.
func (e *exit) crashed() bool {
	return e.reaped && e.status.Signaled() && e.status.Signal() != unix.SIGKILL
}

// how is the end in a few words, for the log.
func (e *exit) how() string {
	switch {
	case !e.reaped:
		return "unknown"
	case e.status.Signaled():
		return "signal " + unix.SignalName(e.status.Signal())
	}
	return fmt.Sprintf("status %d", e.status.ExitStatus())
}
