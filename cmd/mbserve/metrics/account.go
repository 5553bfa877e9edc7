package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/accesslog"
)

// Classes of responses.
const (
	classNone = iota // no final response was sent: the connection broke, or the client had gone
	class2xx  = 2
	class5xx  = 5
	classes   = 6
)

var classNames = [classes]string{classNone: "none", 1: "1xx", class2xx: "2xx", 3: "3xx", 4: "4xx", class5xx: "5xx"}

// loopAccount is the part of an account on one loop, or the part for raw connections. A line of the cache separates it from the next
// one.
type loopAccount struct {
	responses  [classes]atomic.Uint64
	bytes      atomic.Int64 // of bodies
	incomplete atomic.Uint64
	duration   Histogram
	queue      Histogram
	_          [64]byte
}

// Account counts the exchanges of one pool.
type Account struct {
	pool       string
	since      time.Time
	loops      []loopAccount
	raw        loopAccount
	unreported atomic.Uint64
}

// Recorder has the accounts of all pools.
type Recorder struct {
	loops int

	mu       sync.Mutex
	accounts []*Account // in the order in which they were made
}

// NewRecorder makes one for a number of loops.
func NewRecorder(loops int) *Recorder { return &Recorder{loops: loops} }

// Account returns the account of a pool. It outlives reloads: what is counted never becomes less.
func (r *Recorder) Account(pool string) *Account {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.accounts {
		if a.pool == pool {
			return a
		}
	}
	a := &Account{pool: pool, since: time.Now(), loops: make([]loopAccount, r.loops)}
	r.accounts = append(r.accounts, a)
	return a
}

// Record counts an exchange that is over, into the account that its listener has. It is called on the loop of the exchange.
func Record(e *accesslog.Entry) {
	a, ok := e.Account.(*Account)
	if !ok {
		return
	}
	a.loops[e.Loop].record(e)
}

// rawBytesMax bounds what a worker says of the size of a response, so that sums do not overflow.
const rawBytesMax = 1 << 48

// RecordRaw counts a request that a worker has served on a raw connection, and how many it could not report before. What the worker
// says is used as far as it can be true. Any goroutine may call it.
func (a *Account) RecordRaw(e *accesslog.Entry, lost int) {
	bounded := *e
	bounded.Total = min(e.Total, time.Since(a.since))
	bounded.Bytes = min(e.Bytes, rawBytesMax)
	a.raw.record(&bounded)
	a.unreported.Add(uint64(lost))
}

func (l *loopAccount) record(e *accesslog.Entry) {
	l.responses[classOf(e.Status)].Add(1)
	l.bytes.Add(e.Bytes)
	if !e.Complete {
		l.incomplete.Add(1)
	}
	l.duration.Observe(e.Total)
	if e.Queue >= 0 {
		l.queue.Observe(e.Queue)
	}
}

// statusClientGone is a status of the access log for requests whose clients had gone: there was no response.
const statusClientGone = 499

func classOf(status int) int {
	if status < 100 || status > 599 || status == statusClientGone {
		return classNone
	}
	return status / 100
}

// Totals are what all accounts have counted together, or one of them.
type Totals struct {
	Responses       [classes]uint64 // by class; 0: none was sent
	Bytes           int64
	Incomplete      uint64
	Duration, Queue Snapshot
}

// Requests is how many exchanges there were.
func (t *Totals) Requests() (n uint64) {
	for _, c := range t.Responses {
		n += c
	}
	return n
}

// Errors is how many were answered with a status from 500 on.
func (t *Totals) Errors() uint64 { return t.Responses[class5xx] }

func (a *Account) addTo(t *Totals) {
	for i := range a.loops {
		a.loops[i].addTo(t)
	}
	a.raw.addTo(t)
}

func (l *loopAccount) addTo(t *Totals) {
	for c := range l.responses {
		t.Responses[c] += l.responses[c].Load()
	}
	t.Bytes += l.bytes.Load()
	t.Incomplete += l.incomplete.Load()
	t.Duration.Add(&l.duration)
	t.Queue.Add(&l.queue)
}

// Totals returns what all accounts have counted.
func (r *Recorder) Totals() *Totals {
	t := &Totals{}
	for _, a := range r.all() {
		a.addTo(t)
	}
	return t
}

func (r *Recorder) all() []*Account {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Account(nil), r.accounts...)
}

// WriteTo writes the figures of all accounts.
func (r *Recorder) WriteTo(w *Writer) {
	for _, a := range r.all() {
		t := &Totals{}
		a.addTo(t)
		for c, n := range t.Responses {
			w.Counter("moonbridge_requests_total", "Requests that are over, by the class of their status; none: no response was sent.",
				float64(n), "pool", a.pool, "status", classNames[c])
		}
		w.Counter("moonbridge_response_body_bytes_total", "Bytes of response bodies, with their framing, that sockets have taken.",
			float64(t.Bytes), "pool", a.pool)
		w.Counter("moonbridge_responses_incomplete_total", "Requests whose response was not sent completely.", float64(t.Incomplete), "pool", a.pool)
		w.Counter("moonbridge_requests_unreported_total", "Requests on raw connections that are counted nowhere else: their workers could not report them in time.",
			float64(a.unreported.Load()), "pool", a.pool)
		w.Histogram("moonbridge_request_duration_seconds", "Time from a complete request head to the last byte of its response.",
			&t.Duration, "pool", a.pool)
		w.Histogram("moonbridge_queue_duration_seconds", "Time that requests have waited for a worker.", &t.Queue, "pool", a.pool)
	}
}
