package pool

import "slices"

// roster is the workers that take exchanges, as a loop knows them. Those at raw connections are not on it: there is no
// telling when they come back.
type roster struct {
	epoch   uint64 // of the pool, when the list was made
	workers []*Worker
	home    *Worker // rung first
}

// unknownEpoch is none of a pool's: it makes a roster out of date.
const unknownEpoch = ^uint64(0)

// refresh brings the list of workers up to date.
func (l *loop) refresh() {
	r := &l.roster
	epoch := l.p.epoch.Load()
	if epoch == r.epoch {
		return
	}
	r.epoch = epoch
	clear(r.workers)
	r.workers = r.workers[:0]
	for i := range l.p.slots {
		if w := l.p.slots[i].Load(); w != nil && w.serving.Load() && w.away.Load() == 0 {
			r.workers = append(r.workers, w)
		}
	}
	r.chooseHome(l.index)
}

// chooseHome keeps the home worker if it is one of the loop's own; otherwise it looks for one of those, and makes do with
// another loop's if there is none.
func (r *roster) chooseHome(index int) {
	present := slices.Contains(r.workers, r.home)
	if present && r.home.home == index {
		return
	}
	for _, w := range r.workers {
		if w.home == index {
			r.home = w
			return
		}
	}
	if present {
		return
	}
	r.home = nil
	if n := len(r.workers); n > 0 {
		r.home = r.workers[index%n]
	}
}

// forget removes a worker that has ended from everything that the loop would ring.
func (l *loop) forget(w *Worker) {
	if l.roster.home == w {
		l.roster.home = nil
	}
	l.pokes = slices.DeleteFunc(l.pokes, func(p *Worker) bool { return p == w })
	if l.pair.worker == w {
		l.pair = pair{cpu: -1}
	}
	l.roster.epoch = unknownEpoch
	l.refresh()
}
