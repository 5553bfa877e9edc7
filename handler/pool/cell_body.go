package pool

import "moonbridge/handler/shm"

// This file is backend.Running: what the connection may do with an exchange in progress. Bytes of the request body go
// straight into the in-window.

// room is how many bytes go into the in-window now.
func (c *cell) room() uint64 { return uint64(len(c.inWin)) - (c.inHead - c.inTail) }

// BodyRoom implements backend.Running.
func (c *cell) BodyRoom() (a, b []byte) {
	if !c.state.open() || c.ending {
		return nil, nil
	}
	if len(c.spill) > 0 || c.room() == 0 {
		if !c.makeRoom() {
			return nil, nil
		}
	}
	c.keepTitle()
	return shm.Ring(c.inWin, c.inHead, c.room())
}

// makeRoom looks at what the worker has taken. If there is no room it has the worker tell when there is.
func (c *cell) makeRoom() bool {
	if c.flags&shm.InWantRoom == 0 {
		c.setFlags(c.flags | shm.InWantRoom)
	}
	// The worker takes bytes and then looks at the flag: one of us two sees the other.
	if !c.readTail() || !c.pump() {
		return false
	}
	c.setFlags(c.flags &^ shm.InWantRoom)
	return true
}

// pump moves the spill into the window. It reports whether there is room beyond it.
func (c *cell) pump() bool {
	if n := min(uint64(len(c.spill)), c.room()); n > 0 {
		c.keepTitle()
		shm.RingPut(c.inWin, c.inHead, c.spill[:n])
		c.spill = c.spill[n:]
		c.advanceHead(n)
		if len(c.spill) == 0 {
			c.spill = nil
			if c.ending {
				c.ending = false
				c.setFlags(c.flags&^shm.InWantRoom | shm.InEnd)
				return false // nothing follows
			}
		}
	}
	return len(c.spill) == 0 && c.room() > 0
}

// readTail reads how much the worker has taken. false: it claims what cannot be.
func (c *cell) readTail() bool {
	tail := c.out.InTail.Load()
	if tail < c.inTail || tail > c.inHead {
		c.violated("position in the request body")
		return false
	}
	c.inTail = tail
	return true
}

func (c *cell) advanceHead(n uint64) {
	c.inHead += n
	if c.inHead > uint64(len(c.inWin)) {
		c.spilled = true
	}
	c.in.InHead.Store(c.inHead)
	c.poke()
}

func (c *cell) setFlags(flags uint32) {
	c.flags = flags
	c.in.Flags.Store(flags)
}

// BodyCommit implements backend.Running.
func (c *cell) BodyCommit(n int) {
	if n < 0 || uint64(n) > c.room() {
		panic("pool: BodyCommit of more than BodyRoom")
	}
	if n > 0 && c.state.open() {
		c.advanceHead(uint64(n))
	}
}

// BodyEnd implements backend.Running.
func (c *cell) BodyEnd() {
	if len(c.spill) > 0 {
		c.ending = true
		return
	}
	c.endBody(shm.InEnd)
}

// BodyAbort implements backend.Running.
func (c *cell) BodyAbort(tooLarge bool) {
	c.spill = nil
	if tooLarge {
		c.endBody(shm.InAbort | shm.InTooLarge)
	} else {
		c.endBody(shm.InAbort)
	}
}

func (c *cell) endBody(flags uint32) {
	if c.state.open() {
		c.setFlags(c.flags&^shm.InWantRoom | flags)
		c.poke()
	}
}
