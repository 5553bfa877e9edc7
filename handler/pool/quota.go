package pool

import (
	"sync"
	"time"
)

// droppedEvery is how often it is logged how much was dropped.
const droppedEvery = time.Second

// quota bounds how much processes may put into the log: some at once, and then so much in a second. What is more is
// dropped and counted. Safe for concurrent use.
type quota struct {
	// Immutable.
	perSecond, burst float64
	tell             func(count int) // is told how much was dropped, once a second

	mu      sync.Mutex
	tokens  float64
	at      time.Time
	dropped int
}

func (q *quota) init(perSecond, burst float64, tell func(count int)) {
	q.perSecond, q.burst, q.tell = perSecond, burst, tell
	q.tokens, q.at = burst, time.Now()
}

// allow reports whether one more may be logged.
func (q *quota) allow(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tokens = min(q.burst, q.tokens+now.Sub(q.at).Seconds()*q.perSecond)
	q.at = now
	if q.tokens < 1 {
		if q.dropped == 0 {
			time.AfterFunc(droppedEvery, q.report)
		}
		q.dropped++
		return false
	}
	q.tokens--
	return true
}

// report tells how much was dropped since it was last told.
func (q *quota) report() {
	q.mu.Lock()
	dropped := q.dropped
	q.dropped = 0
	q.mu.Unlock()
	if dropped > 0 {
		q.tell(dropped)
	}
}
