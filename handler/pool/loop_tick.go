package pool

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/policy"
)

const (
	// slowTickEvery is how often a loop with exchanges in progress looks at the time. Limits are as exact as that.
	slowTickEvery = policy.SampleEvery
	// calmTickEvery is how often it does if workers are at raw connections only, which may last for hours.
	calmTickEvery = 500 * time.Millisecond
	// rescueAfter is how long an exchange waits before flags are no longer trusted.
	rescueAfter = 100 * time.Millisecond
)

// ticker is the slow tick of a loop. It runs as long as there are exchanges in progress.
type ticker struct {
	on    bool // the tick is set
	calm  bool // for a later time than usual
	timer backend.Timer
	fire  func() // loop.tick; made once
}

// set sets the next tick. calm: nothing is expected of the exchanges in progress.
func (t *ticker) set(l *loop, calm bool) {
	if t.on {
		t.timer.Stop()
	}
	t.on, t.calm = true, calm
	every := slowTickEvery
	if calm {
		every = calmTickEvery
	}
	t.timer = l.on.After(every, t.fire)
}

// expect makes sure that a tick comes soon.
func (t *ticker) expect(l *loop) {
	if !t.on || t.calm {
		t.set(l, false)
	}
}

// tick looks at every exchange in progress: time limits, and whatever a worker has not reported, or has destroyed.
func (l *loop) tick() {
	l.ticker.on = false
	if l.closed {
		return
	}
	now := l.on.Now()
	l.lookAtPeers()
	s := &l.cells
	for i := len(s.inUse) - 1; i >= 0; i-- {
		// Calls made here may end other exchanges and start new ones. What is missed this time has its turn next time.
		if i < len(s.inUse) {
			s.inUse[i].tick(now)
		}
	}
	l.refresh()
	l.rescue(now)
	l.p.kick()
	if len(s.inUse) > 0 && !l.ticker.on {
		l.ticker.set(l, len(s.inUse) == s.handed && l.p.spec.Options.RequestTimeout == 0)
	}
}

// rescue rings every worker that is not known to be at an exchange, if one has waited for long. A worker may sleep although
// its flag says that it does not, if another one has destroyed that.
func (l *loop) rescue(now int64) {
	for _, c := range l.cells.inUse {
		if c.state != cellQueued || now-c.queued < int64(rescueAfter) {
			continue
		}
		for _, w := range l.roster.workers {
			if w.claims.Load() == 0 {
				w.bell.Ring()
			}
		}
		return
	}
}
