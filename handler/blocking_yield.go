package handler

import (
	"runtime"
	"time"
)

// A loop that reads many requests at once lets their handlers run in between. Otherwise hundreds of exchanges start before the first
// one goes on, and what each of them needs has left the processor's cache by then. Handlers that compute for long would hold up the
// loop, so it yields again only when the time it has lost is a small part of all.
const (
	// yieldEvery is after how many started exchanges a loop yields.
	yieldEvery = 8
	// yieldShort is how long handlers of that many exchanges may take without consequence.
	yieldShort = 300 * time.Microsecond
	// yieldPart is the part of the time that a loop may lose to longer ones: 1/yieldPart.
	yieldPart = 20
)

// yields is what a loop knows about yielding to handlers. Times are those of the loop.
type yields struct {
	started int
	notTill int64
}

// due is called for each exchange that has started. It reports whether the loop should yield now.
func (y *yields) due(now int64) bool {
	y.started++
	return y.started%yieldEvery == 0 && now >= y.notTill
}

// took notes how long it was until the loop went on.
func (y *yields) took(now int64, lost time.Duration) {
	if lost > yieldShort {
		y.notTill = now + int64(yieldPart*lost)
	}
}

// yield lets the handlers of started exchanges run.
func (p *blockingBackend) yield() {
	now := p.loop.Now()
	if !p.yields.due(now) {
		return
	}
	before := time.Now()
	runtime.Gosched()
	p.yields.took(now, time.Since(before))
}
