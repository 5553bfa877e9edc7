package handler

import (
	"slices"
	"time"
)

// goroutineIdle is how long a goroutine waits for the next exchange before it ends: at least this long, and at most twice.
const goroutineIdle = time.Second

// idlers are the goroutines that wait for an exchange. One that was used a moment ago has a stack that is large enough; that of
// a new one grows, by copies, in each handler. The last one that came is the first to go on. They are protected by blocking.mu.
type idlers struct {
	waiting []chan *blockingExchange
	unused  int  // how many of waiting, from the first, have waited since the last sweep
	sweeps  bool // a sweep is due
}

// launch has a goroutine serve e: one that waits, or a new one. The caller holds b.mu.
func (b *blocking) launch(e *blockingExchange) {
	i := &b.idlers
	n := len(i.waiting) - 1
	if n < 0 {
		go b.run(e)
		return
	}
	i.waiting[n] <- e
	i.waiting[n] = nil
	i.waiting = i.waiting[:n]
	i.unused = min(i.unused, n)
}

// run serves exchanges, starting with e. It ends when it has waited for too long.
func (b *blocking) run(e *blockingExchange) {
	defer func() {
		// e is not nil only if a handler called runtime.Goexit. Its goroutine ends, and another one takes its place.
		if e != nil && !e.hijacked {
			b.leaveCount()
		}
	}()
	more := make(chan *blockingExchange, 1)
	for e != nil {
		e.serve()
		if e.hijacked {
			return // leaveCount has given its place to another
		}
		if e = b.dequeueOrIdle(more); e == nil {
			e = <-more
		}
	}
}

// relaunch has a goroutine serve e, which is admitted.
func (b *blocking) relaunch(e *blockingExchange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.launch(e)
}

// dequeueOrIdle removes and returns the first exchange of the queue. If the queue is empty, it returns nil: the goroutine does not
// count as running any more, and gets its next exchange, or nil to end, from more.
func (b *blocking) dequeueOrIdle(more chan *blockingExchange) *blockingExchange {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.dequeue()
	if e == nil {
		b.idlers.waiting = append(b.idlers.waiting, more)
		b.scheduleSweep()
	}
	return e
}

// scheduleSweep makes sure that goroutines do not wait forever. The caller holds b.mu.
func (b *blocking) scheduleSweep() {
	if !b.idlers.sweeps {
		b.idlers.sweeps = true
		time.AfterFunc(goroutineIdle, b.sweep)
	}
}

// sweep ends the goroutines that were not needed since the last sweep.
func (b *blocking) sweep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := &b.idlers
	for _, more := range i.waiting[:i.unused] {
		more <- nil
	}
	i.waiting = slices.Delete(i.waiting, 0, i.unused)
	i.unused, i.sweeps = len(i.waiting), false
	if i.unused > 0 {
		b.scheduleSweep()
	}
}

// leaveCount: a goroutine ends, or goes on with a connection of its own, and does not count against the limit any more. The next
// exchange of the queue gets its place.
func (b *blocking) leaveCount() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.dequeue(); e != nil {
		b.launch(e)
	}
}
