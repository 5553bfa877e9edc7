package pool

import "moonbridge/handler/shm"

// What workers say in shared memory is looked at here, and nowhere else but for the position in the request body
// (readTail). Every number is checked before it is used; a copy is used, never the word in shared memory a second time.

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
