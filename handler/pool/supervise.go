package pool

import (
	"sync"
	"time"

	"moonbridge/handler/pool/policy"
)

// supervisor is the goroutine that keeps the number of workers right. The policy decides how many there should be; the
// files supervise*.go bring that about.
type supervisor struct {
	kicked chan struct{} // something has happened
	quit   chan struct{} // closed to end it
	ended  chan struct{} // closed when it has ended

	sending sync.WaitGroup // requests for workers; added to under Pool.mu, and not any more when the pool is ending

	// Under Pool.mu.
	policy  policy.Policy
	census  policy.Census
	counted []*Worker // the members of the census
}

func newSupervisor() supervisor {
	return supervisor{kicked: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
}

// kick has it look at the pool.
func (s *supervisor) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// stop ends it, and waits for that.
func (s *supervisor) stop() {
	close(s.quit)
	<-s.ended
}

// checkEvery is how often a pool is looked at that waits for something that is not reported. Loops with exchanges in
// progress kick more often.
const checkEvery = 250 * time.Millisecond

// supervise runs until the supervisor is stopped.
func (p *Pool) supervise() {
	s := &p.sv
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.kicked:
		case <-timer.C:
		}
		timer.Stop()
		now := time.Now()
		if next := p.adjust(now); !next.IsZero() {
			timer.Reset(max(next.Sub(now), time.Millisecond))
		}
	}
}

// adjust brings the pool nearer to the number of workers that it should have. It returns when to do so again if nothing
// happens; zero: never.
func (p *Pool) adjust(now time.Time) time.Time {
	p.mu.Lock()
	ended := p.freeSlots(now)
	next := p.killDue(now)
	var forks []forkRequest
	if !p.ending {
		var decided time.Time
		forks, decided = p.decide(now)
		next = earlier(next, decided)
	}
	if len(forks) > 0 {
		p.sv.sending.Add(1)
		next = earlier(next, now.Add(checkEvery)) // that they take too long is not reported either: see killDue
	}
	p.mu.Unlock()

	for _, w := range ended {
		p.report(w)
	}
	if len(forks) > 0 {
		go func() { // many forks take their time, in which workers may have to be killed
			defer p.sv.sending.Done()
			for _, f := range forks {
				f.send()
			}
		}()
	}
	return next
}

// decide asks the policy, and does what it says as far as possible. It returns the workers that are to be forked, and when
// to ask again if nothing happens; zero: never. Under mu.
func (p *Pool) decide(now time.Time) (forks []forkRequest, next time.Time) {
	s := &p.sv
	if p.takeCensus(now) {
		next = now.Add(checkEvery) // that a worker has gone to sleep is not reported
	}
	d := s.policy.Decide(p.options(), now, &s.census)
	next = earlier(next, d.Next)
	forks = p.carryOut(d, now)
	if len(forks) < d.Fork+len(d.Replace) && s.policy.Hold.After(now) {
		next = earlier(next, s.policy.Hold)
	}
	p.noWorker.Store(s.policy.Refuses(&s.census, now))
	return forks, next
}

// earlier is the earlier of two times; zero: never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// takeCensus counts the workers for the policy. It reports whether one of them is at work. Under mu.
func (p *Pool) takeCensus(now time.Time) (busy bool) {
	s := &p.sv
	s.census.Reset()
	s.census.Waiting, s.census.NoForkServer = p.waiting(), !p.canFork()
	s.counted = s.counted[:0]
	for w := range p.workers() {
		if w.state == policy.Gone && w.activity.ready {
			continue
		}
		if w.state.Serving() {
			p.observe(w, now)
		}
		s.census.Count(policy.Member{
			State: w.state, IdleFrom: w.activity.last, Leaving: w.retired.Load(),
			Stale: w.succession.stale, Followed: w.succession.successor != nil,
		})
		s.counted = append(s.counted, w)
		busy = busy || w.state == policy.Busy
	}
	return busy
}

// observe takes note of whether a worker that serves is idle, as far as can be seen, and of whether it is to be replaced.
func (p *Pool) observe(w *Worker, now time.Time) {
	w.setBusy(w.occupied())
	w.activity.update(w.state == policy.Busy, w.out.Finished.Load(), now)
	w.rouse(now)
	// How a worker ends that has outlived its fork server is not reported. A main handler must not be told to end for that.
	if (w.activity.exhausted() || w.fs.dead()) && !w.main.Load() || p.seqs.isStale(w.seq) {
		w.succession.stale = true
	}
}

// carryOut does what was decided, as far as possible: what is not done shows in the next census. Under mu.
func (p *Pool) carryOut(d policy.Decision, now time.Time) (forks []forkRequest) {
	for _, i := range d.End {
		p.sv.counted[i].dismiss()
	}
	for i := range d.Fork + len(d.Replace) {
		f, ok := p.newWorker(now)
		if !ok {
			break
		}
		if i >= d.Fork {
			f.w.replace(p.sv.counted[d.Replace[i-d.Fork]])
		}
		forks = append(forks, f)
	}
	return forks
}
