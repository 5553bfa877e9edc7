package pool

import (
	"time"

	"moonbridge/handler/shm"
)

// This file is backend.Running: what the connection may do with an exchange in progress. Bytes of the request body go
// straight into the in-window.

// BodyRoom implements backend.Running.
func (c *cell) BodyRoom() (x, y []byte) {
	b := &c.body
	if !c.state.open() || b.ending {
		return nil, nil
	}
	if len(b.spill) > 0 || b.room() == 0 {
		if !c.makeRoom() {
			return nil, nil
		}
	}
	c.keepAbout()
	return b.free()
}

// makeRoom reads what the worker has taken. If that leaves no room, the worker reports when there is some.
func (c *cell) makeRoom() bool {
	c.body.wantRoom(true)
	// The worker takes bytes and then reads the flag: one of the two sides sees the other.
	if !c.readTail() || !c.pump() {
		return false
	}
	c.body.wantRoom(false)
	return true
}

// readTail reads how much the worker has taken. false: the worker is at fault, and the exchange is over.
func (c *cell) readTail() bool {
	if c.body.readTail() {
		return true
	}
	c.violated("position in the request body")
	return false
}

// pump moves the spill into the window. It reports whether there is room for more.
func (c *cell) pump() bool {
	b := &c.body
	if len(b.spill) > 0 && b.room() > 0 {
		c.keepAbout()
		b.moveSpill()
		c.poke()
	}
	return b.accepts()
}

// BodyCommit implements backend.Running.
func (c *cell) BodyCommit(n int) {
	if n < 0 || uint64(n) > c.body.room() {
		panic("pool: BodyCommit of more than BodyRoom")
	}
	if n > 0 && c.state.open() {
		c.body.advance(uint64(n))
		c.poke()
	}
}

// BodyEnd implements backend.Running.
func (c *cell) BodyEnd() {
	if c.state.open() && c.body.end() {
		c.poke()
	}
}

// BodyAbort implements backend.Running.
func (c *cell) BodyAbort(tooLarge bool) {
	if !c.state.open() {
		return
	}
	flags := uint32(shm.InAbort)
	if tooLarge {
		flags |= shm.InTooLarge
	}
	c.body.abort(flags)
	c.poke()
}

// OutputRoom implements backend.Running.
func (c *cell) OutputRoom() {
	c.response.blocked = false
	if c.state == cellClaimed || c.state == cellDone {
		c.deliver()
	}
}

// Cancel implements backend.Running. An exchange that no worker has claimed is withdrawn. Otherwise its output is thrown
// away until the worker has finished it, and the handler is ended if the script wants that.
func (c *cell) Cancel() {
	if c.answered {
		c.cancelAnswered()
		return
	}
	c.leave()
	switch {
	case c.state == cellDone:
		c.l.release(c)
	case !c.state.open():
	case c.withdraw():
	default:
		c.peer.gone = true
		c.abandon()
		c.endHandler()
	}
}

// Times implements backend.Timed.
func (c *cell) Times() (queue, service time.Duration) {
	t := c.times
	if t.brief {
		if claimed := int64(c.out.Claimed.Load()); claimed != 0 {
			return t.waited(claimed, c.l.clockAt), -1
		}
	}
	if t.done == 0 {
		t.done = c.l.on.Clock()
	}
	return t.split(int64(c.out.Claimed.Load()), c.l.clockAt)
}
