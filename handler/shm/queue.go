package shm

import "sync/atomic"

// Queue is the server's end of a loop's queue. It belongs to the loop's goroutine.
//
// An exchange is identified by its position, which is also the generation of its cell: entry position % cap names the cell,
// and the exchange waits as long as the cell's owner word is (position, queued). A worker claims it by exchanging this
// word, so every exchange is claimed once, whatever the queue's entries and positions say: those only tell where to look.
// That is why a worker may die, or write garbage, at any point without doing harm to the queue.
type Queue struct {
	m     *Memory
	loop  int
	in    *InLoop
	out   *OutLoop
	q     []atomic.Uint32
	cells []*OutCell
	head  uint64 // positions published: our own copy
}

// Queue returns the server's end of loop l's queue. There must be no other.
func (m *Memory) Queue(l int) *Queue {
	q := &Queue{m: m, loop: l, in: m.InLoop(l), out: m.OutLoop(l), q: m.queue(l)}
	for i := range int(m.h.Cells) {
		c, _ := m.OutCell(l, i)
		q.cells = append(q.cells, c)
	}
	return q
}

// Next is the position that Push will use.
func (q *Queue) Next() uint64 { return q.head }

// Full reports whether there is no room for another position. It moves the queue on if that helps.
func (q *Queue) Full() bool {
	if q.Len() < len(q.q) {
		return false
	}
	return q.Settle() >= len(q.q)
}

// Push publishes the cell, whose contents must be complete, at the position Next. The queue must not be full.
func (q *Queue) Push(cell int) {
	pos := q.head
	q.cells[cell].Owner.Store(Owner(pos, WhoQueued))
	q.q[pos&uint64(len(q.q)-1)].Store(uint32(cell))
	q.head++
	q.in.QHead.Store(q.head)
}

// Len is how many positions may be unclaimed: an upper bound, and never more than there are entries.
func (q *Queue) Len() int {
	n := q.head - q.out.QTail.Load()
	return int(min(n, uint64(len(q.q)))) // a tail beyond the head makes a huge number: garbage from a worker
}

// Waiting is Len for goroutines other than the loop's: it reads nothing but shared memory.
func (q *Queue) Waiting() int {
	return int(min(q.in.QHead.Load()-q.out.QTail.Load(), uint64(len(q.q))))
}

// queued reports whether the exchange at a position waits for a worker. The positions are those of the last len(q.q).
func (q *Queue) queued(pos uint64) bool {
	cell := q.q[pos&uint64(len(q.q)-1)].Load()
	return q.cells[cell].Owner.Load() == Owner(pos, WhoQueued)
}

// settleTries is how often the loop tries to move the tail while workers move it, too. Each of them does so a few times. A
// worker that writes to the tail all the time must not hold up the loop.
const settleTries = 16

// Settle moves the tail past what is claimed or cancelled at the front, as workers do, and returns Len. It also brings
// back a tail that a worker has overwritten.
func (q *Queue) Settle() int {
	oldest := q.head - min(q.head, uint64(len(q.q)))
	for try := 0; ; try++ {
		tail := q.out.QTail.Load()
		pos := tail
		if tail < oldest || tail > q.head {
			pos = oldest
		}
		for pos < q.head && !q.queued(pos) {
			pos++
		}
		if pos == tail || q.out.QTail.CompareAndSwap(tail, pos) {
			return int(q.head - pos)
		}
		if try == settleTries {
			q.out.QTail.Store(pos) // nothing before it waits; workers that were further ahead look once more
			return int(q.head - pos)
		}
	}
}

// Repair is Settle for a queue whose tail has passed a waiting exchange, at position pos. That happens only when a worker
// writes garbage, and then no worker would ever look at the exchange again.
func (q *Queue) Repair(pos uint64) {
	for range settleTries {
		tail := q.out.QTail.Load()
		if tail <= pos || q.out.QTail.CompareAndSwap(tail, pos) {
			return
		}
	}
	q.out.QTail.Store(pos)
}

// Overwritten reports whether the entry of a position has been used again. If the position still waits, a worker has written garbage to the
// tail, and no worker will find it.
func (q *Queue) Overwritten(pos uint64) bool { return q.head-pos > uint64(len(q.q)) }

// Passed reports whether the tail is beyond a position.
func (q *Queue) Passed(pos uint64) bool { return q.out.QTail.Load() > pos }

// Withdraw takes back the exchange of a cell that was pushed at pos. It returns false if a worker has claimed it.
func (q *Queue) Withdraw(cell int, pos uint64) bool {
	return q.cells[cell].Owner.CompareAndSwap(Owner(pos, WhoQueued), Owner(pos, WhoFree))
}
