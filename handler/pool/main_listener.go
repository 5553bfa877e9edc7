package pool

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// mainListener is a listener of proto main: its handler is called once, in a worker that has nothing else to do meanwhile.
// It belongs to loop 0. A worker that runs such a handler counts as one that is away, like one with a raw connection.
type mainListener struct {
	peerless
	l    *loop
	spec *listen.Listener
}

// startMains hands each main handler to a worker.
func (l *loop) startMains() {
	for i := range l.p.spec.Listeners {
		s := &l.p.spec.Listeners[i]
		if !s.Main() {
			continue
		}
		m := &mainListener{l: l, spec: s}
		if !l.startPeerless(m, shm.KindMain, i, s.Name) {
			m.Failed(503, 0)
		}
	}
}

// stopMains takes back the main handlers that no worker has begun.
func (l *loop) stopMains() {
	s := &l.cells
	for i := len(s.inUse) - 1; i >= 0; i-- {
		c := s.inUse[i]
		if c.kind == shm.KindMain && c.state == cellQueued && l.queue.Withdraw(c.index, c.pos) {
			c.leave()
			l.release(c)
		}
	}
}

// Done implements backend.Exchange. A worker resets what it has failed at.
func (m *mainListener) Done(end backend.End) { m.ended(end == backend.EndReset) }

// Failed implements backend.Exchange.
func (m *mainListener) Failed(int, time.Duration) { m.ended(true) }

// ended reports the end, unless the pool is being stopped, which is why a handler ends then.
func (m *mainListener) ended(failed bool) {
	p := m.l.p
	if p.stopping.Load() || p.h.cfg.MainEnded == nil {
		return
	}
	p.h.cfg.MainEnded(p.index, m.spec.Name, failed)
}

// runsMain takes note that the cell's worker runs a main handler. It may do so for as long as the server runs, so
// request_timeout does not apply.
func (c *cell) runsMain() {
	c.worker.main.Store(true)
	c.setAway(true)
}
