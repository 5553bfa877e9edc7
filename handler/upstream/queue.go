package upstream

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// queue is the requests that wait for a free slot, of all loops, in the order of their arrival.
type queue struct {
	max     int64
	waiting atomic.Int64  // length of the list
	freed   atomic.Uint64 // how often a server has become free for another request

	mu   sync.Mutex
	list list.List // of *Ticket
}

// Ticket is a place in the queue of a Set.
type Ticket struct {
	set  *Set
	call func()
	at   *list.Element // nil: it was called, or has left
}

// Wait gives a request that Pick has just refused with ErrBusy a place in the queue. call is called once, on any goroutine and perhaps
// before Wait returns, when it is worth another Pick. If that fails, the request may wait once more. ok is false if the queue is
// full.
func (k *Picker) Wait(call func()) (t *Ticket, ok bool) { return k.enter(call, false) }

// Again is Wait after a Pick that was worth it and has failed: at the head of the queue, whatever its length.
func (k *Picker) Again(call func()) *Ticket {
	t, _ := k.enter(call, true)
	return t
}

func (k *Picker) enter(call func(), again bool) (t *Ticket, ok bool) {
	q := &k.set.queue
	t = &Ticket{set: k.set, call: call}
	q.mu.Lock()
	switch {
	case again:
		t.at = q.list.PushFront(t)
	case int64(q.list.Len()) < q.max:
		t.at = q.list.PushBack(t)
	default:
		q.mu.Unlock()
		return nil, false
	}
	q.waiting.Store(int64(q.list.Len()))
	q.mu.Unlock()
	if q.freed.Load() != k.freed {
		q.wake(1) // a slot became free between Pick and now
	}
	return t, true
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

// free says that n servers, or slots, have become free.
func (q *queue) free(n int) {
	q.freed.Add(1)
	q.wake(n)
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
