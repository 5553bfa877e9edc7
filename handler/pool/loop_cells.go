package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// reserve takes a cell.
func (l *loop) reserve() (*cell, error) {
	switch {
	case l.p.stopping.Load() || l.closed:
		return nil, backend.ErrStopped
	case l.p.noWorker.Load():
		return nil, backend.ErrNoWorker
	case l.p.inFlight.Add(1) > l.p.limit || len(l.free) <= len(l.timers) || l.queue.Full():
		// The last cells are for ticks, of which there is one for each interval at the most.
		l.p.inFlight.Add(-1)
		return nil, backend.ErrQueueFull
	}
	return l.take(), nil
}

// take makes the warmest free cell ready for an exchange.
func (l *loop) take() *cell {
	n := len(l.free) - 1
	c := l.free[n]
	l.free = l.free[:n]
	c.place = len(l.inUse)
	l.inUse = append(l.inUse, c)
	c.idempotent, c.retried, c.timed, c.socket = false, false, false, socketNone
	c.flags, c.inHead, c.spilled, c.ending, c.wanted, c.title = 0, 0, false, false, false, ""
	return c
}

// release puts a cell back.
func (l *loop) release(c *cell) {
	c.setState(cellFree)
	c.drop()
	c.x, c.spill = nil, nil
	c.out.Owner.Store(shm.Owner(c.pos, shm.WhoFree))
	last := l.inUse[len(l.inUse)-1]
	last.place = c.place
	l.inUse[c.place] = last
	l.inUse = l.inUse[:len(l.inUse)-1]
	l.free = append(l.free, c)
	l.p.inFlight.Add(-1)
}
