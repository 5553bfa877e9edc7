package logging

import (
	"sync"
	"time"
)

// Quota bounds how many records others may put into a log: a burst, and then a number of records per second. Records above
// it are dropped and counted.
type Quota struct {
	// Immutable.
	perSecond, burst float64
	dropped          func(count int)

	mu     sync.Mutex
	tokens float64
	at     time.Time
	count  int // of dropped records, since dropped was called
}

// NewQuota returns a Quota of burst records at once and perSecond after that. dropped is called on a separate goroutine, at
// most once a second, with the number of records that were dropped since the last call.
func NewQuota(perSecond, burst float64, dropped func(count int)) *Quota {
	return &Quota{perSecond: perSecond, burst: burst, dropped: dropped, tokens: burst, at: time.Now()}
}

// Allow reports whether one more record may be logged.
func (q *Quota) Allow() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.tokens = min(q.burst, q.tokens+now.Sub(q.at).Seconds()*q.perSecond)
	q.at = now
	if q.tokens < 1 {
		if q.count == 0 {
			time.AfterFunc(tellEvery, q.Flush)
		}
		q.count++
		return false
	}
	q.tokens--
	return true
}

// Flush reports the records that were dropped since the last report, if any.
func (q *Quota) Flush() {
	q.mu.Lock()
	n := q.count
	q.count = 0
	q.mu.Unlock()
	if n > 0 {
		q.dropped(n)
	}
}
