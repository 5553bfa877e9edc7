package upstream

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
)

// queue is the requests that wait for a free slot, of all loops, in the order of their arrival.
//
// When a slot becomes free, the first ticket is called, which costs a post to its loop. If its request gets a server and others are free, the
// next one is called, and so on: so any number of slots may become free at once. A slot belongs to those who wait: as long as a ticket
// was called and has not answered, requests that have just come get no slot, and go to the end of the queue.
type queue struct {
	max     int64
	waiting atomic.Int64  // length of the list
	calls   atomic.Int64  // tickets that were called and have not answered. Changed with the lock
	freed   atomic.Uint64 // how often a server has become free for another request

	mu   sync.Mutex
	list list.List // of *Ticket
}

// Ticket is a place in the queue of a Set. It is kept until PickFor has a result other than ErrBusy, or Leave is called.
type Ticket struct {
	set    *Set
	call   func()
	at     *list.Element // nil: it has left
	called bool
}

// Wait gives a request that Pick has just refused with ErrBusy a place in the queue. call is called on any goroutine, perhaps before Wait
// returns, when PickFor may succeed, and again each time after that was refused with ErrBusy. ok is false if the queue is full.
func (k *Picker) Wait(call func()) (t *Ticket, ok bool) {
	q := &k.set.queue
	t = &Ticket{set: k.set, call: call}
	q.mu.Lock()
	if int64(q.list.Len()) >= q.max {
		q.mu.Unlock()
		return nil, false
	}
	t.at = q.list.PushBack(t)
	q.waiting.Store(int64(q.list.Len()))
	missed := q.freed.Load() != k.freed || k.yields && q.calls.Load() == 0
	q.mu.Unlock()
	if missed {
		q.wake() // a slot has become free between Pick and now, or those for whom there was one have not taken it
	}
	return t, true
}

// PickFor is Pick for a request that waits. With ErrBusy it keeps its place.
func (k *Picker) PickFor(t *Ticket, now int64, key uint64, tried []*Server) (*Server, error) {
	q := &k.set.queue
	v, err := k.pick(now, key, tried, false)
	if errors.Is(err, ErrBusy) {
		k.waitOn(t, tried)
		return nil, err
	}
	q.remove(t)
	if q.waiting.Load() > 0 && (err != nil || k.free(now)) {
		q.wake()
	}
	return v, err
}

// waitOn lets a ticket wait that pick has just refused with ErrBusy.
func (k *Picker) waitOn(t *Ticket, tried []*Server) {
	q := &k.set.queue
	q.stay(t, len(tried) > 0) // what it has tried may be free for others
	if q.freed.Load() != k.freed {
		q.wake() // a slot has become free between pick and now, and the ticket was not called, since it had been
	}
}

// free reports whether another request would get a server.
func (k *Picker) free(now int64) bool {
	k.eligible(now, nil)
	return len(k.servers) > 0
}

// Leave gives up the place.
func (t *Ticket) Leave() {
	q := &t.set.queue
	if q.remove(t) {
		q.wake() // what it was called for is for the next one
	}
}

// becomesFree says that a server, or a slot, has become free.
func (q *queue) becomesFree() {
	q.freed.Add(1)
	q.wake()
}

// wake calls the first ticket that is not called, if there is one.
func (q *queue) wake() {
	if q.waiting.Load() == 0 {
		return
	}
	q.mu.Lock()
	t := q.first(q.list.Front())
	q.mu.Unlock()
	if t != nil {
		t.call()
	}
}

// first marks the first ticket from e on that is not called, and returns it, or nil. The caller has the lock.
func (q *queue) first(e *list.Element) *Ticket {
	for ; e != nil; e = e.Next() {
		if t := e.Value.(*Ticket); !t.called {
			t.called = true
			q.calls.Add(1)
			return t
		}
	}
	return nil
}

// stay: the ticket was called in vain, and is called again another time. next calls the one behind it.
func (q *queue) stay(t *Ticket, next bool) {
	q.mu.Lock()
	q.answered(t)
	var behind *Ticket
	if next {
		behind = q.first(t.at.Next())
	}
	q.mu.Unlock()
	if behind != nil {
		behind.call()
	}
}

// remove takes the ticket out, and reports whether it was called and has not answered.
func (q *queue) remove(t *Ticket) (called bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.at == nil {
		return false
	}
	called = t.called
	q.answered(t)
	q.list.Remove(t.at)
	t.at = nil
	q.waiting.Store(int64(q.list.Len()))
	return called
}

func (q *queue) answered(t *Ticket) {
	if t.called {
		t.called = false
		q.calls.Add(-1)
	}
}
