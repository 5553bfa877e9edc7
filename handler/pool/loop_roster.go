package pool

import "slices"

// refresh brings the list of workers up to date. Those at raw connections are not on it: nobody knows when they come back.
func (l *loop) refresh() {
	epoch := l.p.epoch.Load()
	if epoch == l.epoch {
		return
	}
	l.epoch = epoch
	clear(l.workers)
	l.workers = l.workers[:0]
	for i := range l.p.slots {
		if w := l.p.slots[i].Load(); w != nil && w.serving.Load() && w.away.Load() == 0 {
			l.workers = append(l.workers, w)
		}
	}
	there := slices.Contains(l.workers, l.home)
	if there && l.home.home == l.index {
		return
	}
	for _, w := range l.workers {
		if w.home == l.index {
			l.home = w
			return
		}
	}
	if there {
		return
	}
	l.home = nil
	if n := len(l.workers); n > 0 {
		l.home = l.workers[l.index%n] // somebody else's, for the time being
	}
}
