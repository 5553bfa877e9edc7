package pool

import "moonbridge/handler/shm"

// What workers write into shared memory is read here, in response.read and in body.readTail, and nowhere else. Every number
// is checked before it is used, and a copy of it is used: the word in shared memory is never read a second time.

// inspect takes note of what the worker has done in this cell.
func (c *cell) inspect(now int64) {
	if !c.state.open() || !c.identify() {
		return
	}
	pos := c.pos
	result := shm.ResultOf(c.out.Result.Load(), pos) // first: all that was written before it can be seen then
	flags := c.out.Flags.Load()
	done := result&shm.ResultDone != 0
	if broken := c.response.read(c.out); broken != "" {
		c.violated(broken)
		return
	}
	if !done && !c.wantsDescriptor(flags&shm.OutDescriptorWanted != 0, now) {
		return
	}
	if flags&shm.OutWebSocketBlocking != 0 && !c.blocking && !c.beginWebSocket() {
		return
	}
	if c.kind == shm.KindHTTP && !c.blocking {
		c.response.readEnd(flags)
		if flags&shm.OutReset != 0 && !c.response.whole {
			c.reset()
		}
	}
	if flags&shm.OutBodyWanted != 0 && !c.wantsBody() {
		return
	}
	if done {
		c.done(result)
	} else if !c.giveRoom() {
		return
	}
	c.deliver()
}

// identify finds out which worker has the cell. false: none yet, or the owner word is invalid.
func (c *cell) identify() bool {
	owner := c.out.Owner.Load()
	if w := c.worker; w != nil {
		if owner == shm.Owner(c.pos, uint32(w.slot)+1) {
			return true
		}
		c.corrupted()
		return false
	}
	if owner == shm.Owner(c.pos, shm.WhoQueued) {
		return false // a bit that was set late for the previous use of the cell
	}
	// A worker has its slot until every loop has taken back its cells.
	who := uint32(owner)
	w := c.l.p.worker(who - 1)
	if owner != shm.Owner(c.pos, who) || w == nil {
		c.corrupted()
		return false
	}
	c.worker = w
	c.setState(cellClaimed)
	if !w.worked.Load() {
		w.worked.Store(true)
	}
	return true
}

// wantsBody tells the connection, once, that the handler reads the body. false: the exchange is over.
func (c *cell) wantsBody() bool {
	if c.body.wanted {
		return true
	}
	c.body.wanted = true
	if c.x == nil || c.answered {
		return true
	}
	pos := c.pos
	c.x.BodyWanted()
	return c.stillOpen(pos)
}

// giveRoom tells the connection that there is room for body bytes again, if it waits for that. false: the exchange is over.
func (c *cell) giveRoom() bool {
	if !c.body.wantsRoom() {
		return true
	}
	if !c.readTail() {
		return false
	}
	if !c.pump() {
		return true
	}
	c.body.wantRoom(false)
	pos := c.pos
	if c.x != nil {
		c.x.BodyRoom()
	}
	return c.stillOpen(pos)
}

// done notes that the worker has finished the exchange.
func (c *cell) done(result uint32) {
	c.setState(cellDone)
	c.l.finished++
	c.response.result = result
	if c.times.timed && !c.times.brief {
		c.times.done = c.l.on.Clock()
	}
	if result&(shm.ResultRetire|shm.ResultFailed) != 0 {
		c.doneAndMore(result)
	}
	c.forgetWorker()
}

// doneAndMore notes what seldom comes with a result.
func (c *cell) doneAndMore(result uint32) {
	if result&shm.ResultFailed != 0 {
		c.takeVerbs() // they say which message it was
		c.handlerFailed()
	}
	if result&shm.ResultRetire != 0 && !c.worker.retired.Swap(true) {
		c.l.p.kick()
	}
}
