package pool

import "moonbridge/handler/shm"

// response is the output of an exchange on its way through the out-window. Amounts count bytes from its start.
type response struct {
	window []byte // immutable

	begun     bool   // start is fixed
	start     uint32 // place of the first byte in the window
	published uint64 // amount that the worker has written
	taken     uint64 // amount that the connection has taken
	blocked   bool   // the connection took less than was offered
	whole     bool   // nothing will follow what is published, and the file if there is one
	inFile    bool   // what is published is only the head; the body is in a file
	message   bool   // what is published is no response but a message: what follows says which one
	isStream  bool   // with whole: a shm.Subscription
	isSocket  bool   // … a shm.WSAccept
	closes    bool   // with whole: the connection is closed after it
	result    uint32 // cellDone: Result*
}

// clean makes it the response of a new exchange.
func (r *response) clean() { *r = response{window: r.window} }

// read reads how much the worker has written. broken says what is impossible about it; "": nothing.
func (r *response) read(out *shm.OutCell) (broken string) {
	published := out.OutHead.Load()
	if !r.begun && published > 0 {
		start := out.OutStart.Load()
		r.message = start&shm.OutStartMessage != 0
		if start &^= shm.OutStartMessage; start >= uint32(len(r.window)) {
			return "place of the response"
		}
		r.begun, r.start = true, start
	}
	if published < r.published || published-r.taken > uint64(len(r.window)) {
		return "amount of output"
	}
	r.published = published
	return ""
}

// readEnd reads whether the worker has published all of the response.
func (r *response) readEnd(flags uint32) {
	if flags&shm.OutComplete != 0 && !r.whole {
		r.whole, r.closes = true, flags&shm.OutClose != 0
		r.inFile = flags&shm.OutFile != 0
		r.isStream, r.isSocket = flags&shm.OutStream != 0, flags&shm.OutWebSocket != 0
	}
}

// left is how much of what the worker has written the connection has not taken.
func (r *response) left() uint64 { return r.published - r.taken }

// unsent is what is left, as two slices of the window.
func (r *response) unsent() (a, b []byte) {
	return shm.Ring(r.window, uint64(r.start)+r.taken, r.left())
}

// deliver offers what is published to the connection, and ends the exchange if that was all of it.
func (c *cell) deliver() {
	r, pos := &c.response, c.pos
	if c.x == nil || c.answered {
		c.discard()
		return
	}
	if r.message {
		c.deliverMessage()
		return
	}
	if r.inFile && !c.hasFile() {
		return // the head waits, so that the response is an error page if the file does not come
	}
	for r.left() > 0 {
		if r.blocked {
			return
		}
		a, b := r.unsent()
		n, joined := 0, false
		if r.inFile && len(b) == 0 {
			n, joined = c.joinFile(a)
		}
		if !joined {
			n = c.x.Output(a, b, (c.state == cellDone || r.whole) && !r.inFile)
		}
		if c.pos != pos || c.x == nil {
			return // cancelled within the call
		}
		if n < 0 || n > len(a)+len(b) {
			panic("pool: Exchange.Output took more than it was offered")
		}
		c.took(uint64(n))
		r.blocked = n < len(a)+len(b)
	}
	if r.inFile && !c.deliverFile() {
		return
	}
	switch {
	case c.state == cellDone:
		c.finish()
	case r.whole:
		c.answer()
	}
}

// deliverMessage does what the worker says in place of a response. What it says may be here before the flags: then it waits for them.
func (c *cell) deliverMessage() {
	switch r := &c.response; {
	case r.isStream:
		c.handOver()
	case r.isSocket:
		c.acceptSocket()
	case r.whole || c.state == cellDone:
		c.notInstead("malformed message")
	}
}

// discard throws away output that nothing waits for.
func (c *cell) discard() {
	c.took(c.response.left())
	c.file.drop()
	if c.state == cellDone {
		c.finish()
	}
}

// took gives the room of n bytes back to the worker.
func (c *cell) took(n uint64) {
	c.response.taken += n
	if n == 0 || c.state != cellClaimed {
		return
	}
	c.in.OutTail.Store(c.response.taken)
	if c.response.left() <= uint64(len(c.response.window))/2 {
		c.poke() // a worker that waits for room gets half of it at least
	}
}
