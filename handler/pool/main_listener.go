package pool

import "moonbridge/handler/shm"

// A listener of proto main is a timer whose only tick is due when it starts, and lasts as long as the server runs. It behaves
// like other ticks: over a reload or a replacement, the one of the next generation begins when the old one has ended. A worker
// that runs such a handler counts as one that is away, like one with a raw connection.

// runsMain takes note that the cell's worker runs a main handler. No time limit applies to it.
func (c *cell) runsMain() {
	c.worker.main.Store(true)
	c.setAway(true)
}

// EndMains tells the main handlers to end, and starts no more of them. Stop does that too, but it is called after
// connections have ended, which may take long.
func (h *Host) EndMains() {
	for _, p := range h.Pools() {
		p.endMains()
	}
}

func (p *Pool) endMains() {
	p.mainsEnding.Store(true)
	p.mu.Lock()
	loops := p.attached()
	p.mu.Unlock()
	for _, l := range loops {
		l.on.Post(l.endMains)
	}
}

// endMains takes back the main handlers that no worker has started, and tells the workers of the others.
func (l *loop) endMains() {
	now := l.on.Now()
	for i := len(l.cells.inUse) - 1; i >= 0; i-- {
		c := l.cells.inUse[i]
		switch {
		case c.kind != shm.KindMain:
		case c.takeBack():
		default:
			c.inspect(now) // who has it
			c.dismissWorker()
		}
	}
}

// dismissWorker tells the worker that has the exchange to end when it has finished it.
func (c *cell) dismissWorker() {
	w := c.worker
	if w == nil || !c.state.open() {
		return
	}
	c.l.p.mu.Lock()
	defer c.l.p.mu.Unlock()
	w.dismiss()
}

// mainOver reports the end of a main handler, unless it was told to end. failed: with an error, or its worker has died.
func (t *interval) mainOver(failed bool) {
	p := t.l.p
	if !p.mainsEnding.Load() && p.h.cfg.MainEnded != nil {
		p.h.cfg.MainEnded(p.index, t.spec.Name, failed)
	}
}
