package pool

import (
	"time"

	"moonbridge/handler/pool/policy"
)

// supervisor is what the goroutine that keeps the number of workers remembers. Under Pool.mu. How many there should be is
// the policy's business; here is how that comes about.
type supervisor struct {
	policy  policy.Policy
	census  policy.Census
	counted []*Worker // the members of the census
}

// lookEvery is how often a pool is looked at that has something to wait for without knowing when it comes. Loops with
// exchanges in progress ask for a look more often.
const lookEvery = 250 * time.Millisecond

// supervise runs until the pool is quit.
func (p *Pool) supervise() {
	defer close(p.idle)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.kicked:
		case <-timer.C:
		}
		timer.Stop()
		if next := p.look(time.Now()); next > 0 {
			timer.Reset(next)
		}
	}
}

// look brings the pool nearer to the number of workers that it should have, and returns when to look again if nothing
// happens; 0: never.
func (p *Pool) look(now time.Time) time.Duration {
	p.mu.Lock()
	ended := p.bury(now)
	next := p.killCondemned(now)
	var births []birth
	if !p.ending {
		c := &p.sv.census
		if p.take(c, now) {
			next = earlier(next, now.Add(lookEvery)) // nobody tells when it has gone to sleep
		}
		d := p.sv.policy.Decide(&p.spec.Options, now, c)
		next = earlier(next, d.Next)
		if births = p.carryOut(d, now); len(births) < d.Fork+len(d.Replace) && p.sv.policy.Hold.After(now) {
			next = earlier(next, p.sv.policy.Hold)
		}
		p.noWorker.Store(p.sv.policy.Refuses(c, now))
	}
	p.mu.Unlock()

	for _, w := range ended {
		p.report(w)
	}
	for _, b := range births {
		b.fork()
	}
	if next.IsZero() {
		return 0
	}
	return max(next.Sub(now), time.Millisecond)
}

// earlier is the earlier one of two times; zero: never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// kick has the supervisor look at the pool.
func (p *Pool) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

// take takes the census: it looks at every worker. It reports whether one of them is at work.
func (p *Pool) take(c *policy.Census, now time.Time) (busy bool) {
	c.Reset()
	c.Waiting, c.Barren = p.waiting(), !p.fertile()
	p.sv.counted = p.sv.counted[:0]
	for i := range p.slots {
		w := p.slots[i].Load()
		if w == nil || w.state == policy.Gone && w.wasReady {
			continue
		}
		if w.state.Serving() {
			p.observe(w, now)
		}
		c.Count(policy.Member{
			State: w.state, IdleFrom: w.active, Stale: w.recycle, Leaving: w.retired.Load(), Followed: w.successor != nil,
		})
		p.sv.counted = append(p.sv.counted, w)
		busy = busy || w.state == policy.Busy
	}
	return busy
}

// observe decides whether a worker is idle, as far as can be seen.
func (p *Pool) observe(w *Worker, now time.Time) {
	finished := w.out.Finished.Load()
	w.seem(w.occupied())
	if w.state == policy.Busy || finished != w.finished {
		w.active = now
	}
	w.finished = finished
	if w.limit > 0 && finished >= w.limit {
		w.recycle = true
	}
	if w.fs.dead() || w.seq <= p.recycleTo.Load() {
		w.recycle = true // in the first case it has nobody who would tell how it ends
	}
}

// carryOut does what was decided, as far as it can be done: what cannot shows in the next census.
func (p *Pool) carryOut(d policy.Decision, now time.Time) (births []birth) {
	for _, i := range d.End {
		p.drain(p.sv.counted[i])
	}
	for i := range d.Fork + len(d.Replace) {
		b, ok := p.newWorker(now)
		if !ok {
			break
		}
		if i >= d.Fork {
			b.w.replaces = p.sv.counted[d.Replace[i-d.Fork]]
			b.w.replaces.successor = b.w
		}
		births = append(births, b)
	}
	return births
}
