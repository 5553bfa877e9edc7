package handler

import (
	"log/slog"
	"sync"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// limitDefault is how many exchanges Blocking serves at the same time if it is not told.
const limitDefault = 256

// Blocking is a Backend that calls h on a goroutine for each exchange, so that h may take its time. At most limit
// exchanges are served at the same time, 0 for 256; others wait in a queue.
//
// Request and response are streamed: a window of the request body is read ahead, parts of the response are passed on while
// Serve runs, and both sides are made to wait when the other one is slow. When the connection ends, reading and
// writing return ErrGone, and Request.Context is cancelled.
func Blocking(h Handler, limit int) backend.Backend { return Config{}.Blocking(h, limit) }

// Blocking is like the function of this name, with the limits of c.
func (c Config) Blocking(h Handler, limit int) backend.Backend {
	if limit <= 0 {
		limit = limitDefault
	}
	b := &blocking{
		h:            h,
		log:          c.logger(),
		limit:        limit,
		queueMax:     c.queueMax(),
		queueTimeout: c.queueTimeout(),
		partMax:      c.partMax(),
		windowSize:   c.window(),
	}
	b.windows.New = func() any { return &window{room: make([]byte, b.windowSize)} }
	b.parts.New = func() any { return new(part) }
	return b
}

// blocking is what the loops share: the number of goroutines, and the queue of exchanges that wait for one.
type blocking struct {
	// Immutable.
	h            Handler
	log          *slog.Logger
	limit        int
	queueMax     int
	queueTimeout time.Duration // 0: none
	partMax      int
	windowSize   int

	windows, parts sync.Pool // of *window, *part

	mu          sync.Mutex
	running     int               // goroutines
	queued      int               // exchanges in the queue
	first, last *blockingExchange // of the queue, linked by next and prev
}

// Attach makes the part for one loop.
func (b *blocking) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &blockingPart{b: b, loop: l}, nil
}

// admit gives e a goroutine or a place in the queue. ErrQueueFull if there is neither.
func (b *blocking) admit(e *blockingExchange) (waits bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running < b.limit {
		b.running++
		go b.run(e)
		return false, nil
	}
	if b.queued >= b.queueMax {
		return false, backend.ErrQueueFull
	}
	e.prev = b.last
	if e.prev != nil {
		e.prev.next = e
	} else {
		b.first = e
	}
	b.last = e
	e.inQueue = true
	b.queued++
	return true, nil
}

// run serves exchanges, beginning with e, as long as there are any.
func (b *blocking) run(e *blockingExchange) {
	defer func() {
		// Only a handler that called runtime.Goexit leaves with an exchange in hand. Its goroutine has to end; another one
		// takes its place.
		if e != nil {
			if e = b.take(); e != nil {
				go b.run(e)
			}
		}
	}()
	for e != nil {
		e.serve()
		e = b.take()
	}
}

// take is the next exchange of the queue. If it is empty, the goroutine is counted out.
func (b *blocking) take() *blockingExchange {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.first
	if e == nil {
		b.running--
		return nil
	}
	b.unlink(e)
	return e
}

// leave takes e out of the queue. It returns false if e is not there: its handler has begun.
func (b *blocking) leave(e *blockingExchange) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !e.inQueue {
		return false
	}
	b.unlink(e)
	return true
}

func (b *blocking) unlink(e *blockingExchange) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		b.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		b.last = e.prev
	}
	e.prev, e.next = nil, nil
	e.inQueue = false
	b.queued--
}

// blockingPart is a Blocking on one loop.
type blockingPart struct {
	b    *blocking
	loop backend.Loop

	mu     sync.Mutex
	calls  []*blockingExchange // that have something for the loop to do
	posted bool                // the loop will look

	spare []*blockingExchange // of the loop: room for calls
}

// Start copies the head and what is there of the body, and has the exchange served.
func (p *blockingPart) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	e := newBlockingExchange(p, x, head, listener, body, more)
	waits, err := p.b.admit(e)
	if err != nil {
		e.release()
		return nil, err
	}
	if waits && p.b.queueTimeout > 0 {
		e.timer = p.loop.After(p.b.queueTimeout, e.waitedTooLong)
	}
	return e, nil
}

// call has e looked at on the loop. It may be called from everywhere, with e.mu held.
func (p *blockingPart) call(e *blockingExchange) {
	p.mu.Lock()
	if e.called {
		p.mu.Unlock()
		return
	}
	e.called = true
	p.calls = append(p.calls, e)
	post := !p.posted
	p.posted = true
	p.mu.Unlock()
	if post {
		p.loop.Post(p.answerCalls)
	}
}

// answerCalls looks at all that have called.
func (p *blockingPart) answerCalls() {
	p.mu.Lock()
	calls := p.calls
	p.calls, p.spare = p.spare[:0], nil
	p.posted = false
	for _, e := range calls {
		e.called = false
	}
	p.mu.Unlock()
	for i, e := range calls {
		calls[i] = nil
		e.attend()
	}
	p.spare = calls[:0]
}
