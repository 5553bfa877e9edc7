package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// cell is the room for one exchange, and the exchange that is in it. It is the Running that the engine gets.
type cell struct {
	// Immutable.
	l     *loop
	index int
	in    *shm.InCell
	out   *shm.OutCell

	// The exchange.
	state      cellState
	x          backend.Exchange // nil: no connection or timer waits for it
	kind       uint16           // shm.Kind*
	pos        uint64           // place in the queue, which is the generation of the cell
	place      int              // in loop.cells.inUse
	queued     int64            // time of publication
	idempotent bool             // RFC 9110 §9.2.2
	retried    bool
	blocking   bool   // the worker has a WebSocket to itself: x is a blockingSocket, or nil
	answered   bool   // the connection has the whole response, and goes on; the worker still has the exchange
	kept       *about // what is known about it, kept when its head is about to be overwritten
	until      uint64 // cellLost: free when all workers up to this seq are gone

	// The worker that was seen to have it, and what is known about the parts of the exchange.
	worker     *Worker
	watch      watch
	peer       peer
	body       body
	response   response
	file       outFile
	descriptor descriptor
	times      times
}

// init sets what is immutable.
func (c *cell) init(l *loop, index int) {
	c.l, c.index = l, index
	mem := l.p.mem
	c.in, c.body.window = mem.InCell(l.index, index)
	c.out, c.response.window = mem.OutCell(l.index, index)
	c.body.in, c.body.out = c.in, c.out
}

// clean prepares a cell for another exchange.
func (c *cell) clean() {
	c.idempotent, c.retried, c.answered, c.blocking, c.kept = false, false, false, false, nil
	c.body.clean()
	c.descriptor.state = descriptorNone
	c.file.since = 0
	c.times.timed = false
	c.peer = peer{}
}

// setState moves a cell from state to state, and keeps the loop's counts.
func (c *cell) setState(s cellState) {
	was, is := c.state.open(), s.open()
	if was != is {
		n := 1
		if was {
			n = -1
		}
		c.l.cells.open += n
		if c.descriptor.away {
			c.l.cells.handed += n
		}
	}
	c.state = s
}

// stillOpen reports whether the exchange that was published at pos is still in progress: a call of the connection may have
// ended it and started another one in the same cell.
func (c *cell) stillOpen(pos uint64) bool { return c.pos == pos && c.state.open() }

// countWorker counts the cell among those that keep its worker busy for longer.
func (c *cell) countWorker() {
	if !c.watch.counted {
		c.watch.counted = true
		c.worker.claims.Add(1)
		c.l.p.lengthy.Add(1)
	}
}

// forgetWorker ends what ties the cell to its worker.
func (c *cell) forgetWorker() {
	c.setAway(false)
	if c.worker != nil && c.kind == shm.KindMain {
		c.worker.main.Store(false)
	}
	if c.watch.counted {
		c.watch.counted = false
		c.worker.claims.Add(-1)
		c.l.p.lengthy.Add(-1)
	}
	c.worker = nil
}

// poke has the worker rung at the end of the turn, if one has the exchange and sleeps.
func (c *cell) poke() {
	w := c.worker
	if w == nil {
		w = c.l.p.worker(uint32(c.out.Owner.Load()) - 1)
	}
	if w == nil || w.gone.Load() {
		return // the worker that claims it will see what has changed
	}
	c.l.poke(w)
}
