package pool

import "sync/atomic"

// refuse has Start refuse exchanges, ends the timers, and starts no main handler any more.
func (p *Pool) refuse() {
	p.endMains()
	p.mu.Lock()
	p.stopping.Store(true)
	p.announceStop()
	loops := p.attached()
	p.mu.Unlock()
	for _, l := range loops {
		l.on.Post(l.stopIntervals)
		l.on.Post(l.endBlocking)
	}
}

// dismissAway tells the workers at raw connections and main handlers to end when they have finished. One that speaks HTTP on
// its connection closes it then as soon as no request is in progress, and a main handler can find out (moonbridge_io.poll).
func (p *Pool) dismissAway() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.workers() {
		if w.away.Load() != 0 {
			w.dismiss()
		}
	}
}

// dismissAll tells all workers to end, and forks no more.
func (p *Pool) dismissAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	for w := range p.workers() {
		w.dismiss()
	}
	p.kick()
}

// detach takes the pool off its loops, and frees the memory when the last one has let go. If the loops have ended already,
// what is posted here is never called, and the memory stays until the process ends.
func (p *Pool) detach() {
	p.mu.Lock()
	loops := p.attached()
	for _, l := range loops {
		p.counts.taken += l.taken.Load()
		p.counts.abandoned += l.abandoned.Load()
	}
	p.loops = make([]*loop, len(p.loops))
	unreclaimed := p.endWorkers()
	p.mu.Unlock()
	for _, w := range unreclaimed {
		p.report(w)
	}
	letGo := func() {
		p.flushLogs()
		for _, w := range unreclaimed {
			p.slots[w.slot].Store(nil)
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
			l.close(503, "stopped")
			if left.Add(-1) == 0 {
				letGo()
			}
		})
	}
}

// flushLogs logs what is counted and not logged yet.
func (p *Pool) flushLogs() {
	p.tally.Flush()
	p.lines.quota.Flush()
	p.reports.quota.Flush()
}

// endWorkers ends the record of every worker, and returns those whose cells the loops have not reclaimed. They keep their
// slots, since the loops still find their names in cells and ring their doorbells. Under mu.
func (p *Pool) endWorkers() (unreclaimed []*Worker) {
	for w := range p.workers() {
		w.end(0, false)
		p.judge(w, true)
		w.close()
		unreclaimed = append(unreclaimed, w)
	}
	return unreclaimed
}
