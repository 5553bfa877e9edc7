package pool

import (
	"math/bits"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// What workers say in shared memory is looked at here, and nowhere else but for the position in the request body
// (readTail). Every number is checked before it is used; a copy is used, never the word in shared memory a second time.

// collect looks at the cells that workers have set a bit for. It reports whether there were any.
func (l *loop) collect() (found bool) {
	for i := range l.ready {
		w := &l.ready[i]
		if w.Load() == 0 {
			continue
		}
		found = true
		for word := w.Swap(0); word != 0; word &= word - 1 {
			if j := i*64 + bits.TrailingZeros64(word); j < len(l.cells) {
				l.cells[j].look()
			}
		}
	}
	return found
}

// look takes note of what the worker has done in this cell.
func (c *cell) look() {
	if !c.state.open() || !c.identify() {
		return
	}
	pos := c.pos
	result := shm.ResultOf(c.out.Result.Load(), pos) // first: what was written before it is there then
	flags := c.out.Flags.Load()
	if !c.readOutput() {
		return
	}
	if result&shm.ResultDone == 0 && !c.wantsSocket(flags&shm.OutSocketWanted != 0) {
		return
	}
	if flags&shm.OutReset != 0 && c.kind == shm.KindHTTP {
		c.reset()
	}
	if flags&shm.OutBodyWanted != 0 && !c.wanted {
		c.wanted = true
		if c.x != nil {
			c.x.BodyWanted()
			if c.pos != pos || !c.state.open() {
				return
			}
		}
	}
	if result&shm.ResultDone != 0 {
		c.setState(cellDone)
		c.response.result = result
		if c.timed {
			c.at = c.l.on.Clock()
		}
		if result&shm.ResultRetire != 0 && !c.worker.retired.Swap(true) {
			c.l.p.kick()
		}
		c.drop()
	} else if !c.giveRoom(pos) {
		return
	}
	c.deliver()
}

// identify finds out which worker has the cell. false: none yet, or the owner word is nonsense.
func (c *cell) identify() bool {
	owner := c.out.Owner.Load()
	who := uint32(owner)
	if owner == shm.Owner(c.pos, shm.WhoQueued) && c.worker == nil {
		return false // a bit that was set late for the cell's previous use
	}
	w := c.l.p.worker(who - 1)
	if owner != shm.Owner(c.pos, who) || w == nil || c.worker != nil && c.worker != w {
		c.corrupted()
		return false
	}
	if c.worker == nil {
		c.worker = w
		c.setState(cellClaimed)
		if !w.worked.Load() {
			w.worked.Store(true)
		}
	}
	return true
}

// readOutput reads how much of the response there is. false: the numbers contradict each other.
func (c *cell) readOutput() bool {
	r := &c.response
	published := c.out.OutHead.Load()
	if !r.begun && published > 0 {
		start := c.out.OutStart.Load()
		if start >= uint32(len(c.outWin)) {
			c.violated("place of the response")
			return false
		}
		r.begun, r.start = true, start
	}
	if published < r.published || published-r.taken > uint64(len(c.outWin)) {
		c.violated("amount of output")
		return false
	}
	r.published = published
	return true
}

// reset: the handler has had enough of the peer, and goes on without it.
func (c *cell) reset() {
	if x := c.leave(); x != nil {
		c.abandon()
		x.Done(backend.EndReset)
	}
}

// giveRoom tells the connection that body bytes have room again, if it waits for that. false: the exchange is another
// one now.
func (c *cell) giveRoom(pos uint64) bool {
	if c.flags&shm.InWantRoom == 0 {
		return true
	}
	if !c.readTail() {
		return false
	}
	if !c.pump() {
		return true
	}
	c.setFlags(c.flags &^ shm.InWantRoom)
	if c.x != nil {
		c.x.BodyRoom()
	}
	return c.pos == pos && c.state.open()
}

// deliver offers what is published to the connection, and ends the exchange if that was all of it.
func (c *cell) deliver() {
	r, pos := &c.response, c.pos
	if c.x == nil {
		c.swallow()
		return
	}
	for r.taken < r.published {
		if r.blocked {
			return
		}
		a, b := shm.Ring(c.outWin, uint64(r.start)+r.taken, r.published-r.taken)
		n := c.x.Output(a, b, c.state == cellDone)
		if c.pos != pos || c.x == nil {
			return // cancelled meanwhile
		}
		if n < 0 || n > len(a)+len(b) {
			panic("pool: Exchange.Output took more than it was offered")
		}
		c.took(uint64(n))
		r.blocked = n < len(a)+len(b)
	}
	if c.state == cellDone {
		c.finish()
	}
}

// swallow throws the output away that nobody waits for.
func (c *cell) swallow() {
	if c.response.taken < c.response.published {
		c.took(c.response.published - c.response.taken)
	}
	if c.state == cellDone {
		c.l.release(c)
	}
}

// took gives the worker back the room of n bytes.
func (c *cell) took(n uint64) {
	c.response.taken += n
	if n > 0 && c.state == cellClaimed {
		c.in.OutTail.Store(c.response.taken)
		c.poke()
	}
}

// finish ends an exchange. The cell is free before the connection hears of it: the next request, if one waits, finds it
// first on the list.
func (c *cell) finish() {
	result, silent := c.response.result, c.response.published == 0
	c.closeSocket(result&shm.ResultReset != 0)
	x := c.leave()
	c.l.release(c)
	if x == nil {
		return
	}
	switch {
	case result&shm.ResultReset != 0:
		x.Done(backend.EndReset)
	case silent && c.kind == shm.KindHTTP:
		x.Failed(ownStatus(result>>shm.ResultStatusShift), 0)
	case result&shm.ResultClose != 0:
		x.Done(backend.EndClose)
	default:
		x.Done(backend.EndKeep)
	}
}

// ownStatus is what the server answers for a worker that sent nothing: what it asks for, if that is an error.
func ownStatus(status uint32) int {
	if status < 400 || status > 599 {
		return 502
	}
	return int(status)
}

// violated: the worker that has this cell has written what cannot be. It is killed, and the exchange fails.
func (c *cell) violated(what string) {
	if c.worker == nil && !c.identify() {
		return
	}
	c.worker.condemn("broken protocol: " + what)
	c.setState(cellCondemned)
	c.failLater()
}

// corrupted: the owner word of the cell is destroyed. Who did that cannot be known, so all workers are replaced. The cell
// is not used again before they are gone.
func (c *cell) corrupted() {
	// A worker that is at it waits for nothing more.
	c.spill = nil
	c.setFlags(c.flags&^shm.InWantRoom | shm.InCancel)
	if c.worker != nil {
		c.worker.bell.Ring()
	}
	if c.l.p.recycleAll() {
		c.l.p.log.Error("shared memory destroyed by a worker: replacing all workers", "loop", c.l.index)
	}
	c.setState(cellLost)
	c.drop()
	c.until = c.l.p.recycleTo.Load()
	c.failLater()
}

// failLater answers an exchange that nobody works at any more, in a turn of its own: the connection may be in the middle
// of a call of ours.
func (c *cell) failLater() {
	pos := c.pos
	c.l.on.Post(func() {
		if c.pos == pos && !c.state.open() {
			c.fail(502, 0)
		}
	})
}
