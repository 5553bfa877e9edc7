package static

import (
	"sync"
	"time"
)

// lookups runs functions on goroutines. A goroutine that waits for a disk holds a thread, so their number is bounded. A directory
// that hangs, such as one of a server that is gone, must not stop the lookups in the others: each rule has goroutines and a queue of
// its own.
type lookups struct {
	// Immutable.
	most     int           // goroutines of a rule
	total    int           // goroutines of all rules
	queueMax int           // that wait for a goroutine, of a rule
	wait     time.Duration // if one has waited that long, no others wait after it

	mu      sync.Mutex
	running int
	rules   map[*rule]*ruleLookups
	idle    sync.Cond // signalled when nothing is running
}

// ruleLookups are those of a rule.
type ruleLookups struct {
	running int
	queue   []queuedLookup
}

type queuedLookup struct {
	fn    func()
	since time.Time
}

// rulesHung is how many rules may hang, with all their goroutines, before others have none.
const rulesHung = 8

func newLookups(most, queueMax int, wait time.Duration) *lookups {
	l := &lookups{most: most, total: rulesHung * most, queueMax: queueMax, wait: wait, rules: make(map[*rule]*ruleLookups)}
	l.idle.L = &l.mu
	return l
}

// run runs fn soon. false: too much is waiting for this rule, or waits for too long.
func (l *lookups) run(of *rule, fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rules[of]
	if r == nil {
		r = new(ruleLookups)
		l.rules[of] = r
	}
	if r.running < l.most && l.running < l.total {
		r.running++
		l.running++
		go l.work(r, fn)
		return true
	}
	if len(r.queue) >= l.queueMax || len(r.queue) > 0 && time.Since(r.queue[0].since) > l.wait {
		return false
	}
	r.queue = append(r.queue, queuedLookup{fn, time.Now()})
	return true
}

// work runs fn, and then what waits.
func (l *lookups) work(r *ruleLookups, fn func()) {
	for fn != nil {
		fn()
		r, fn = l.next(r)
	}
}

// next takes the first function that waits for a goroutine of r. If there is none, or if there were no goroutines for other rules,
// it may be one of those. If nothing waits, the goroutine ends.
func (l *lookups) next(r *ruleLookups) (*ruleLookups, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.running == l.total
	r.running--
	l.running--
	if full || len(r.queue) == 0 {
		r = l.waiting()
	}
	if r == nil {
		if l.running == 0 {
			l.idle.Broadcast()
		}
		return nil, nil
	}
	fn := r.queue[0].fn
	r.queue[0] = queuedLookup{}
	if r.queue = r.queue[1:]; len(r.queue) == 0 {
		r.queue = nil
	}
	r.running++
	l.running++
	return r, fn
}

// waiting returns any rule for which a goroutine may be used, or nil. mu is held.
func (l *lookups) waiting() *ruleLookups {
	for _, r := range l.rules { // in a random order
		if len(r.queue) > 0 && r.running < l.most {
			return r
		}
	}
	return nil
}

// finish waits until nothing is running.
func (l *lookups) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.running > 0 {
		l.idle.Wait()
	}
}
