package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// cell is the room of one exchange, and the exchange that is in it. It is the Running that the engine gets.
type cell struct {
	// Immutable.
	l             *loop
	index         int
	in            *shm.InCell
	out           *shm.OutCell
	inWin, outWin []byte

	// The exchange.
	state      cellState
	x          backend.Exchange // nil: nobody waits for it
	pos        uint64           // place in the queue, which is the generation of the cell
	place      int              // in loop.inUse
	queued     int64            // time of publication
	timed      bool             // somebody asks for Times in the end
	since, at  int64            // timed: when it came, and when the worker was done with it; 0: not yet
	worker     *Worker          // that was seen to have it
	counted    bool             // in worker.claims
	claimed    int64            // time when it was first seen claimed; 0: not yet
	began      bool             // the worker was seen at it
	stirred    int64            // time when the worker was rung without need
	flushed    int64            // time of the last request to flush
	kind       uint16           // shm.Kind*
	idempotent bool             // RFC 9110 §9.2.2
	retried    bool
	until      uint64 // cellLost: free when all workers up to this seq have gone

	// Raw connection.
	socket socketState
	fd     int   // socketHeld
	passed int64 // socketPassed: since when
	away   bool  // counted in worker.away, and in loop.handed while the cell is open

	// Request body.
	flags    uint32 // InCell.Flags
	inHead   uint64
	inTail   uint64
	spill    []byte // what did not fit into the window
	spilled  bool   // the window does not hold the request from its beginning
	ending   bool   // InEnd is to be set when the spill is in the window
	wanted   bool   // BodyWanted was called
	title    string // name of the request, when its head is about to be overwritten
	response response
}

// setState moves a cell from state to state, and keeps count.
func (c *cell) setState(s cellState) {
	was, is := c.state.open(), s.open()
	if was != is {
		n := 1
		if was {
			n = -1
		}
		c.l.open += n
		if c.away {
			c.l.handed += n
		}
	}
	c.state = s
}

// count notes that the worker of a cell is at work for longer.
func (c *cell) count() {
	if !c.counted {
		c.counted = true
		c.worker.claims.Add(1)
	}
}

// drop forgets the worker of a cell.
func (c *cell) drop() {
	c.setAway(false)
	if c.counted {
		c.worker.claims.Add(-1)
		c.counted = false
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
		return // whoever claims it will see what has changed
	}
	for _, p := range c.l.pokes {
		if p == w {
			return
		}
	}
	c.l.pokes = append(c.l.pokes, w)
}
