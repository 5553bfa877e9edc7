package pool

import "moonbridge/handler/pool/policy"

// Stats are the numbers of a pool at one moment.
type Stats struct {
	Booting, Idle, Busy, Draining int // workers

	Waiting  int // exchanges in queues
	InFlight int // exchanges in progress, waiting ones included

	Exchanges uint64 // taken since the start
	Forks     uint64 // workers forked since the start
	Deaths    uint64 // of workers that were not told to end
	Retries   uint64 // exchanges given to another worker after a death
	Lost      uint64 // exchanges that a death ended
}

// Stats returns the numbers of the pool. It is callable from everywhere.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{
		Waiting: p.waiting(), InFlight: int(p.inFlight.Load()),
		Forks: p.counts.forks, Deaths: p.counts.deaths, Retries: p.counts.retried, Lost: p.counts.lost,
	}
	for _, l := range p.attached() {
		s.Exchanges += l.taken.Load()
	}
	for i := range p.slots {
		w := p.slots[i].Load()
		if w == nil {
			continue
		}
		switch w.state {
		case policy.Booting:
			s.Booting++
		case policy.Idle, policy.Busy:
			if w.occupied() {
				s.Busy++
			} else {
				s.Idle++
			}
		case policy.Draining:
			s.Draining++
		}
	}
	return s
}

// waiting is how many exchanges wait for a worker, at most: the queues are not looked through. Under mu.
func (p *Pool) waiting() (n int) {
	for _, l := range p.attached() {
		n += l.waiting()
	}
	return n
}
