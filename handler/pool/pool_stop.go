package pool

import "sync/atomic"

// refuse has Start refuse exchanges, and ends the timers.
func (p *Pool) refuse() {
	p.mu.Lock()
	p.stopping.Store(true)
	loops := p.attached()
	p.mu.Unlock()
	for _, l := range loops {
		l.on.Post(l.stopIntervals)
	}
}

// drainAway tells the workers at raw connections to end when they are through: one that speaks HTTP there then closes its
// connection as soon as no request is in progress.
func (p *Pool) drainAway() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		if w := p.slots[i].Load(); w != nil && w.away.Load() != 0 {
			p.drain(w)
		}
	}
}

// drainAll tells all workers to end, and forks no more.
func (p *Pool) drainAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	for i := range p.slots {
		if w := p.slots[i].Load(); w != nil {
			p.drain(w)
		}
	}
	p.kick()
}

// detach takes the pool off its loops, and frees the memory when the last one has let go. If the loops have ended already,
// nobody calls what is posted here; then the memory stays until the process ends.
func (p *Pool) detach() {
	p.mu.Lock()
	loops := p.attached()
	p.loops = make([]*loop, len(p.loops))
	var unburied []*Worker // the loops have not got to reclaiming their cells
	for i := range p.slots {
		if w := p.slots[i].Swap(nil); w != nil {
			w.end(0, false)
			w.expected = w.endExpected()
			w.release()
			unburied = append(unburied, w)
		}
	}
	p.mu.Unlock()
	for _, w := range unburied {
		p.report(w)
	}
	letGo := func() {
		for _, w := range unburied {
			w.bell.Close()
		}
		p.close()
	}
	if len(loops) == 0 {
		letGo()
		return
	}
	var left atomic.Int32
	left.Store(int32(len(loops)))
	for _, l := range loops {
		l.on.Post(func() {
			l.close(503)
			if left.Add(-1) == 0 {
				letGo()
			}
		})
	}
}
