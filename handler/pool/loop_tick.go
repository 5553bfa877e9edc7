package pool

import (
	"time"

	"moonbridge/handler/pool/policy"
)

const (
	// slowTickEvery is how often a loop with exchanges in progress looks at the time. Limits are as exact as that.
	slowTickEvery = policy.SampleEvery
	// calmTickEvery is how often it does if workers are at raw connections only, which may last for hours.
	calmTickEvery = 500 * time.Millisecond
	// rescueAfter is how long an exchange waits, in nanoseconds, until flags are not believed any more.
	rescueAfter = 100_000_000
)

// tick looks at every exchange in progress: limits of time, and whatever a worker has not told, or has destroyed.
func (l *loop) tick() {
	l.ticking = false
	if l.closed {
		return
	}
	now := l.on.Now()
	for i := len(l.inUse) - 1; i >= 0; i-- {
		// What is called here may end other exchanges and begin new ones; what is missed this time has its turn next time.
		if i < len(l.inUse) {
			l.inUse[i].check(now)
		}
	}
	l.refresh()
	l.rescue(now)
	l.p.kick()
	if len(l.inUse) > 0 && !l.ticking {
		l.setTick(len(l.inUse) == l.handed && l.p.spec.Options.RequestTimeout == 0)
	}
}

// setTick sets the next slow tick; calm: there are only exchanges that nothing is expected of.
func (l *loop) setTick(calm bool) {
	if l.ticking {
		l.ticker.Stop()
	}
	l.ticking, l.calm = true, calm
	every := slowTickEvery
	if calm {
		every = calmTickEvery
	}
	l.ticker = l.on.After(every, l.slowTick)
}

// rescue rings every worker that is not known to be at an exchange, if one waits for long: a worker may sleep whose flag
// says that it does not, when another one has destroyed it.
func (l *loop) rescue(now int64) {
	for _, c := range l.inUse {
		if c.state != cellQueued || now-c.queued < rescueAfter {
			continue
		}
		for _, w := range l.workers {
			if w.claims.Load() == 0 {
				w.bell.Ring()
			}
		}
		return
	}
}
