package pool

import "moonbridge/handler/shm"

// response is what is known of the output of an exchange.
type response struct {
	begun     bool   // start is fixed
	start     uint32 // place of the first byte
	published uint64 // bytes
	taken     uint64 // bytes
	blocked   bool   // the connection took less than was offered
	result    uint32 // cellDone: Result*
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

// OutputRoom implements backend.Running.
func (c *cell) OutputRoom() {
	c.response.blocked = false
	if c.state == cellClaimed || c.state == cellDone {
		c.deliver()
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

// swallow throws the output away that nobody waits for.
func (c *cell) swallow() {
	if c.response.taken < c.response.published {
		c.took(c.response.published - c.response.taken)
	}
	if c.state == cellDone {
		c.l.release(c)
	}
}
