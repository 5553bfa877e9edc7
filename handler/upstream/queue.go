package upstream

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// queue is the requests that wait for a free slot, of all loops, in the order of their arrival.
type queue struct {
	max     int64
	waiting atomic.Int64 // length of the list

	mu   sync.Mutex
	list list.List // of *Ticket
}

// Ticket is a place in the queue of a Set.
type Ticket struct {
	set  *Set
	call func()
	at   *list.Element // nil: it was called, or has left
}

// Wait gives a request that Pick has refused with ErrBusy a place in the queue. call is called once, on any goroutine and perhaps
// before Wait returns, when it is worth another Pick. If that fails, the request may wait once more. ok is false if the queue is
// full.
func (s *Set) Wait(call func()) (t *Ticket, ok bool) {
	q := &s.queue
	q.mu.Lock()
	if int64(q.list.Len()) >= q.max {
		q.mu.Unlock()
		return nil, false
	}
	t = &Ticket{set: s, call: call}
	t.at = q.list.PushBack(t)
	q.waiting.Store(int64(q.list.Len()))
	q.mu.Unlock()
	if s.idle() {
		q.wake(1) // a slot became free before the ticket was there
	}
	return t, true
}

// Again is Wait after a Pick that has failed: at the head of the queue, whatever its length.
func (s *Set) Again(call func()) *Ticket {
	q := &s.queue
	q.mu.Lock()
	t := &Ticket{set: s, call: call}
	t.at = q.list.PushFront(t)
	q.waiting.Store(int64(q.list.Len()))
	q.mu.Unlock()
	if s.idle() {
		q.wake(1)
	}
	return t
}

// Leave gives up the place. It returns false if the call has been made: then what it was meant for should be offered to the others,
// with Set.WakeOne.
func (t *Ticket) Leave() bool {
	q := &t.set.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.at == nil {
		return false
	}
	q.list.Remove(t.at)
	t.at = nil
	q.waiting.Store(int64(q.list.Len()))
	return true
}

// WakeOne calls the first ticket of the queue, if there is one.
func (s *Set) WakeOne() { s.queue.wake(1) }

// wake calls the first n tickets.
func (q *queue) wake(n int) {
	for ; n > 0 && q.waiting.Load() > 0; n-- {
		if t := q.pop(); t != nil {
			t.call()
		}
	}
}

func (q *queue) pop() *Ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.list.Front()
	if first == nil {
		return nil
	}
	q.list.Remove(first)
	q.waiting.Store(int64(q.list.Len()))
	t := first.Value.(*Ticket)
	t.at = nil
	return t
}

// idle reports whether a server has a free slot.
func (s *Set) idle() bool {
	for _, v := range s.Servers() {
		if !v.full() {
			return true
		}
	}
	return false
}
