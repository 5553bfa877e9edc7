package pool

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock that workers read, in ns. It runs like that of the loop, from another beginning.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano()
}

// startTimes has the exchange timed.
func (c *cell) startTimes() {
	c.timed, c.since, c.at = true, c.l.on.Clock(), 0
}

// Times implements backend.Timed. When the worker took the exchange is what the worker says, as far as it can be true.
func (c *cell) Times() (queue, service time.Duration) {
	at := c.at
	if at == 0 {
		at = c.l.on.Clock()
	}
	claimed := at // by nobody
	if said := int64(c.out.Claimed.Load()); said != 0 {
		claimed = min(max(said-c.l.clockAt, c.since), at)
	}
	return time.Duration(claimed - c.since), time.Duration(at - claimed)
}
