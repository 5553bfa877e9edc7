package pool

import (
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// Messages of a client that have arrived together are one event: one exchange for all of them, and one write of their answers. For a
// script nothing changes. The worker runs its handler for one after the other, reports the end of each, and may stop after any of them.
// Those that it has not begun are another event then. If it dies, or its handler fails, the message that it was at has failed, and no other.
const (
	// batchMessages and batchBytes bound the messages of an event, if there is more than one: a larger one is an event by itself.
	batchMessages = 32
	batchBytes    = 16 << 10

	// batchHead is more than the head of an event needs in the in-window.
	batchHead = 8 << 10

	// batchesKept is how many a loop keeps the memory of.
	batchesKept = 64
)

// batch are messages of one event.
type batch struct {
	buffer []byte // shm.WSRecord each
	from   int    // in buffer: those before it are over
	done   uint32 // those after it whose end the worker has reported
}

// gather makes a batch of a message and those that follow it in the input. If none does, it is an event by itself.
func (c *socketConn) gather(kind websocket.Kind, data []byte) {
	most := c.l.batchRoom(c.pool)
	if len(data)+2*shm.WSRecordHead > most {
		c.begin(shm.WSEventBody{Event: shm.WSMessage, Opcode: uint32(kind)}, data, "")
		return
	}
	batch := c.l.takeBatch()
	b := shm.AppendWSRecord(batch.buffer, shm.WSMessage, uint32(kind), data)
	n := uint32(1)
	for ; n < batchMessages; n++ {
		next, data, ok := c.conn.Next(most - len(b) - shm.WSRecordHead)
		if !ok {
			break
		}
		b = shm.AppendWSRecord(b, shm.WSMessage, uint32(next), data)
	}
	batch.buffer = b
	if n == 1 {
		c.begin(shm.WSEventBody{Event: shm.WSMessage, Opcode: uint32(kind)}, b[shm.WSRecordHead:], "") // Next has ended data
		c.l.giveBatch(batch)
		return
	}
	c.batch = batch
	c.beginMessages(n)
}

// goOn begins an event of the messages that are left, if the client takes what is sent to it. Otherwise they wait for Room, like those that
// are in the input.
func (c *socketConn) goOn() {
	if n := c.left; n > 0 && !c.conn.Full() {
		c.beginMessages(n)
	}
}

// beginMessages begins an event of the n messages that the batch has left.
func (c *socketConn) beginMessages(n uint32) {
	c.left, c.batch.done = 0, 0
	c.begin(shm.WSEventBody{Event: shm.WSMessages, Count: n}, c.batch.buffer[c.batch.from:], "")
}

// rest takes the messages that are over from the batch of the event in progress, if it is one. It returns how many are to be given to a
// worker again, and whether one has failed.
func (c *socketConn) rest(failed bool) (n uint32, fails bool) {
	if c.event.Event != shm.WSMessages {
		return 0, failed
	}
	b, count := c.batch, c.event.Count
	failed = b.done < count && (failed || b.done == 0) // a worker has to go on by one message at least
	over := b.done
	if failed {
		over++
	}
	b.from = len(b.buffer) - len(shm.SkipWSRecords(b.buffer[b.from:], int(over)))
	return count - over, failed
}

// dropBatch gives the memory of a batch back.
func (c *socketConn) dropBatch() {
	if c.batch != nil {
		c.l.giveBatch(c.batch)
		c.batch, c.left = nil, 0
	}
}

// takeVerbs gives the connection what the worker has published of an event, before anything else is done about its end.
func (c *cell) takeVerbs() {
	if c.kind != shm.KindWebSocket || c.x == nil || c.response.read(c.out) != "" {
		return
	}
	a, b := c.response.unsent()
	c.took(uint64(c.x.Output(a, b, true)))
}

// inProgress is the number of the message that the worker is at; 0: the event is not several messages.
func (c *cell) inProgress() int {
	if s, ok := c.x.(*socketConn); ok && s.event.Event == shm.WSMessages {
		return int(s.batch.done) + 1
	}
	return 0
}

// batchRoom is how many bytes the messages of an event may have if there is more than one. All of it fits into the in-window.
func (l *socketLoop) batchRoom(pool int) int {
	p := l.poolLoop(pool)
	if p == nil || len(p.cells.all) == 0 {
		return 0
	}
	return min(batchBytes, len(p.cells.all[0].body.window)-batchHead)
}

func (l *socketLoop) takeBatch() *batch {
	n := len(l.batches)
	if n == 0 {
		return new(batch)
	}
	b := l.batches[n-1]
	l.batches = l.batches[:n-1]
	return b
}

func (l *socketLoop) giveBatch(b *batch) {
	if len(l.batches) < batchesKept {
		*b = batch{buffer: b.buffer[:0]}
		l.batches = append(l.batches, b)
	}
}
