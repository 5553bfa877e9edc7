package pool

import "moonbridge/handler/pool/policy"

// Stats are the numbers of a pool at one moment.
type Stats struct {
	Booting, Idle, Busy, Draining int // workers

	Waiting  int // exchanges in queues
	InFlight int // exchanges in progress, including those that wait

	Exchanges uint64 // taken since the start
	Forks     uint64 // workers forked since the start
	Deaths    uint64 // workers that ended without being told to
	Retries   uint64 // exchanges given to another worker because theirs had ended
	Lost      uint64 // exchanges that ended with their worker
	Abandoned uint64 // exchanges that left the queue because their clients had gone
}

// counts are events since the start, for Stats. Under Pool.mu.
type counts struct {
	forks, deaths, lost, retried uint64
	taken, abandoned             uint64            // by loops that have let go of the pool
	ends                         map[string]uint64 // by cause
}

// add counts the end of a worker.
func (c *counts) add(w *Worker) {
	c.lost += uint64(w.reclaim.lost.Load())
	c.retried += uint64(w.reclaim.retried.Load())
	if !w.exit.expected {
		c.deaths++
	}
}

// Stats returns the numbers of the pool. It can be called from anywhere.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{
		Waiting: p.waiting(), InFlight: int(p.inFlight.Load()),
		Exchanges: p.counts.taken, Abandoned: p.counts.abandoned,
		Forks: p.counts.forks, Deaths: p.counts.deaths, Retries: p.counts.retried, Lost: p.counts.lost,
	}
	for _, l := range p.attached() {
		s.Exchanges += l.taken.Load()
		s.Abandoned += l.abandoned.Load()
	}
	for w := range p.workers() {
		s.count(w)
	}
	return s
}

// count counts a worker by its state. Whether one that serves is at work is seen now: the supervisor looks less often.
func (s *Stats) count(w *Worker) {
	switch {
	case w.state == policy.Booting:
		s.Booting++
	case w.state == policy.Draining:
		s.Draining++
	case w.state.Serving() && w.occupied():
		s.Busy++
	case w.state.Serving():
		s.Idle++
	}
}

// waiting is how many exchanges wait for a worker, at most: the queues are not looked through. Under mu.
func (p *Pool) waiting() (n int) {
	for _, l := range p.attached() {
		n += l.waiting()
	}
	return n
}
