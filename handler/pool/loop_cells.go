package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// cells are the cells of a loop.
type cells struct {
	all    []cell
	free   []*cell // last in, first out: the cell whose memory is warm
	inUse  []*cell // in no order
	open   int     // cells that a worker has or is to have
	handed int     // of these, with a raw connection that the worker is alone with
}

// init makes n free cells.
func (s *cells) init(l *loop, n int) {
	s.all = make([]cell, n)
	s.inUse = make([]*cell, 0, n)
	for i := n - 1; i >= 0; i-- {
		s.all[i].init(l, i)
		s.free = append(s.free, &s.all[i])
	}
}

// take returns the warmest free cell, cleaned. There must be one.
func (s *cells) take() *cell {
	n := len(s.free) - 1
	c := s.free[n]
	s.free = s.free[:n]
	c.place = len(s.inUse)
	s.inUse = append(s.inUse, c)
	c.clean()
	return c
}

// put makes a cell free.
func (s *cells) put(c *cell) {
	last := s.inUse[len(s.inUse)-1]
	last.place = c.place
	s.inUse[c.place] = last
	s.inUse = s.inUse[:len(s.inUse)-1]
	s.free = append(s.free, c)
}

// onlyHanded reports whether nothing is in progress but raw connections that workers are alone with.
func (s *cells) onlyHanded() bool { return s.open == s.handed }

// reserve takes a cell for an exchange, if the pool takes one.
func (l *loop) reserve() (*cell, error) {
	switch {
	case l.p.stopping.Load() || l.closed:
		return nil, backend.ErrStopped
	case l.p.noWorker.Load():
		return nil, backend.ErrNoWorker
	case l.p.inFlight.Add(1) > l.p.limit || len(l.cells.free) <= len(l.timers) || l.queue.Full():
		// The last cells are for ticks, of which there is at most one for each interval.
		l.p.inFlight.Add(-1)
		return nil, backend.ErrQueueFull
	}
	return l.cells.take(), nil
}

// release ends what is in a cell, and makes it free.
func (l *loop) release(c *cell) {
	c.setState(cellFree)
	c.forgetWorker()
	c.descriptor.release()
	c.file.drop()
	c.x, c.body.spill = nil, nil
	c.out.Owner.Store(shm.Owner(c.pos, shm.WhoFree))
	l.cells.put(c)
	l.p.inFlight.Add(-1)
}
