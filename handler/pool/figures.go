package pool

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// This file is what those see who watch a pool. Nothing here waits for a worker.

// WorkerFigures describe a worker process at one moment.
type WorkerFigures struct {
	Slot      int
	PID       int    // 0: not forked yet
	State     string // booting, idle, busy or draining
	Age       time.Duration
	Exchanges uint64 // finished so far
}

// Workers returns the figures of the worker processes, by slot.
func (p *Pool) Workers() (list []WorkerFigures) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.workers() {
		if w.state == policy.Gone {
			continue
		}
		state := w.state
		if state.Serving() { // as seen now: the supervisor looks less often
			if state = policy.Idle; w.occupied() {
				state = policy.Busy
			}
		}
		list = append(list, WorkerFigures{
			Slot: w.slot, PID: int(w.pid.Load()), State: state.String(), Age: w.activity.age(now), Exchanges: w.out.Finished.Load(),
		})
	}
	return list
}

// Ends returns how many workers have ended since the start, by cause.
func (p *Pool) Ends() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts.ends)
}

// Refusals returns how many exchanges were refused or have failed without a response of a worker, by cause.
func (p *Pool) Refusals() map[logging.Event]uint64 { return p.tally.Totals() }

// SharedBytes is the size of the memory that the pool shares with its workers. Pages that were never used take nothing.
func (p *Pool) SharedBytes() int64 {
	h := p.mem.Header()
	return int64(h.InSize) + int64(h.OutSize)
}

// Missing says what keeps the pool from serving at once; empty: nothing does.
func (p *Pool) Missing() string {
	switch ready, failing := p.hasWorker(); {
	case p.stopping.Load():
		return "is ending"
	case failing && !ready:
		return "workers end before they are ready"
	case !ready:
		return "no worker is ready"
	case p.noWorker.Load():
		return "no worker serves"
	}
	return ""
}

// Running describes an exchange in progress.
type Running struct {
	Slot    int    // of the worker that has it; -1: it waits for one
	PID     int    // of that worker
	Kind    string // http, interval, connection, main
	Method  string // of an HTTP request
	Path    string // without the query
	Client  string // address
	ID      string // of the request
	Name    string // of an interval or main handler
	Waited  time.Duration
	Running time.Duration // 0 while it waits
	Phase   string        // how far it has come
}

// Running asks the loops for the exchanges in progress, at most limit of each loop: those that workers have, and those that have
// waited longest. It does not wait for longer than patience for a loop that is busy.
func (p *Pool) Running(limit int, patience time.Duration) (all []Running) {
	p.mu.Lock()
	loops := p.attached()
	p.mu.Unlock()
	answers := make(chan []Running, len(loops))
	for _, l := range loops {
		l.on.Post(func() { answers <- l.running(limit) })
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for range loops {
		select {
		case list := <-answers:
			all = append(all, list...)
		case <-timeout.C:
			return all
		}
	}
	return all
}

// running describes the exchanges in progress, those of workers first, the longest first.
func (l *loop) running(limit int) []Running {
	if l.closed {
		return nil
	}
	now := l.on.Clock()
	var seen []seenCell
	for _, c := range l.cells.inUse {
		if c.state.open() {
			seen = append(seen, seenCell{c, c.owner()})
		}
	}
	slices.SortFunc(seen, func(a, b seenCell) int {
		switch {
		case a.worker != nil && b.worker == nil:
			return -1
		case a.worker == nil && b.worker != nil:
			return 1
		}
		return cmp.Compare(a.c.queued, b.c.queued)
	})
	list := make([]Running, 0, min(len(seen), limit))
	for _, s := range seen[:min(len(seen), limit)] {
		list = append(list, s.c.describe(s.worker, now))
	}
	return list
}

// seenCell is a cell with an exchange in progress.
type seenCell struct {
	c      *cell
	worker *Worker // nil: none has it
}

// owner is the worker that has the cell, whether or not the loop has taken note of that; nil: none, as far as is known.
func (c *cell) owner() *Worker {
	if c.worker != nil {
		return c.worker
	}
	owner := c.out.Owner.Load()
	if who := uint32(owner); owner == shm.Owner(c.pos, who) {
		return c.l.p.worker(who - 1)
	}
	return nil
}

// describe describes the exchange in the cell, which w has.
func (c *cell) describe(w *Worker, now int64) Running {
	a := c.about()
	r := Running{Slot: -1, Kind: kindNames[c.kind], Method: a.method, Path: a.path, ID: a.id, Name: a.interval + a.main}
	if a.client.IsValid() {
		r.Client = a.client.Addr().Unmap().String()
	}
	r.Waited = time.Duration(max(now-c.queued, 0))
	if w == nil {
		r.Phase = "waiting for a worker"
		return r
	}
	r.Slot, r.PID, r.Phase = w.slot, int(w.pid.Load()), c.phase()
	began := c.began(now)
	r.Waited, r.Running = time.Duration(began-c.queued), time.Duration(now-began)
	return r
}

// began is when the worker took the exchange, on the loop's clock, as far as is known. What the worker says is used as far as it
// can be true.
func (c *cell) began(now int64) int64 {
	at := c.watch.claimed
	if claimed := int64(c.out.Claimed.Load()); c.times.timed && claimed != 0 {
		at = claimed - c.l.clockAt
	} else if at == 0 {
		at = now
	}
	return min(max(at, c.queued), max(now, c.queued))
}

var kindNames = map[uint16]string{
	shm.KindHTTP: "http", shm.KindInterval: "interval", shm.KindSocket: "connection", shm.KindMain: "main",
	shm.KindWebSocket: "websocket",
}

// TimerFigures describe a timer at one moment.
type TimerFigures struct {
	TimerID
	Delay   time.Duration
	Running bool
	Began   time.Time // the last tick; zero: none in this process
	Took    time.Duration
	Next    time.Time // zero: not set, or another process runs the timer
	Ticks   uint64    // that have begun in this process
}

// Timers returns the figures of the timers that a generation has, by name.
func (in *Intervals) Timers() (list []TimerFigures) {
	wall, clock := time.Now(), monotonic()
	at := func(ns int64) time.Time {
		if ns == 0 {
			return time.Time{}
		}
		return wall.Add(time.Duration(ns - clock))
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for id, r := range in.rhythms {
		owner := r.owner()
		if owner == nil {
			continue
		}
		f := TimerFigures{TimerID: id, Delay: owner.spec.Delay, Running: r.running || r.foreign, Began: at(r.began), Ticks: r.ticks}
		switch {
		case r.running:
			f.Took = time.Duration(clock - r.began)
		case r.over > r.began:
			f.Took = time.Duration(r.over - r.began)
		}
		if !f.Running && !r.ended && in.report == nil && !id.Main {
			f.Next = at(r.due)
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b TimerFigures) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Pool-b.Pool, a.Number-b.Number)
	})
	return list
}
