package handler

import (
	"cmp"
	"container/list"
	"sync"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// limitDefault is how many exchanges Blocking serves at the same time by default.
const limitDefault = 256

// Blocking returns a Backend that calls h on a goroutine for each exchange, so h may block. At most limit exchanges are
// served at the same time (256 if limit is 0 or less); the others wait in a queue. While handlers are short, the goroutine is that of the
// loop: see Config.Apart.
//
// Request and response are streamed: a window of the request body is read ahead, and parts of the response are passed
// on while Serve runs. Each side waits if the other is slow. With engine.Limits.SpoolBody the body is complete before Serve is
// called, and Request.Read reads a large one from a file. When the connection ends, reading and writing return
// ErrGone, and Request.Context is cancelled.
func Blocking(h Handler, limit int) backend.Backend { return Config{}.Blocking(h, limit) }

// Blocking is like the function Blocking, with the limits of c.
func (c Config) Blocking(h Handler, limit int) backend.Backend {
	mustServe("Blocking", h)
	limit = cmp.Or(max(limit, 0), limitDefault)
	b := &blocking{
		h:            withLogger(h, c.logger()),
		failures:     newFailures(c.logger(), panicLog(h)),
		limit:        limit,
		queueMax:     c.queueMax(),
		queueTimeout: c.queueTimeout(),
		goneAfter:    c.goneAfter(),
		partMax:      c.partMax(),
		windowSize:   c.window(),
		apart:        c.Apart,
	}
	b.windows.New = func() any { return &window{room: make([]byte, b.windowSize)} }
	b.parts.New = func() any { return new(part) }
	b.rooms.New = func() any { return new(callRoom) }
	return b
}

// blocking is the state that the loops share: the number of goroutines, and the queue of exchanges that wait for one.
type blocking struct {
	// Immutable.
	h            Handler
	failures     *failures
	limit        int
	queueMax     int
	queueTimeout time.Duration // 0: none
	goneAfter    time.Duration // 0: never
	partMax      int
	windowSize   int
	apart        bool

	windows, parts, rooms sync.Pool // of *window, *part, *callRoom

	mu      sync.Mutex
	running int       // goroutines that serve an exchange
	idlers  idlers    // the other goroutines
	queue   list.List // of *blockingExchange
}

// Attach creates the instance of the backend on loop l.
func (b *blocking) Attach(l backend.Loop) (backend.LoopBackend, error) {
	p := &blockingBackend{b: b, loop: l}
	if !b.apart {
		p.asides.loop, _ = l.(backend.Asides)
	}
	return p, nil
}

// admit gives e a goroutine, unless the loop's is to serve it, or a place in the queue. It returns backend.ErrQueueFull if neither is
// available.
func (b *blocking) admit(e *blockingExchange) (waits bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running < b.limit {
		b.running++
		if !e.aside {
			b.launch(e)
		}
		return false, nil
	}
	e.aside = false
	if b.queue.Len() >= b.queueMax {
		return false, backend.ErrQueueFull
	}
	e.waits = b.queue.PushBack(e)
	return true, nil
}

// overlap is how many exchanges of one connection may be in progress: half of what there are goroutines for.
func (b *blocking) overlap() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(1, (b.limit-b.running)/2)
}

// dequeue removes and returns the first exchange of the queue. If the queue is empty, it returns nil, and the goroutine
// no longer counts as running. The caller holds b.mu.
func (b *blocking) dequeue() *blockingExchange {
	first := b.queue.Front()
	if first == nil {
		b.running--
		return nil
	}
	e := b.queue.Remove(first).(*blockingExchange)
	e.waits = nil
	return e
}

// removeFromQueue removes e from the queue. It returns false if e is not in the queue because its handler has started.
func (b *blocking) removeFromQueue(e *blockingExchange) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.waits == nil {
		return false
	}
	b.queue.Remove(e.waits)
	e.waits = nil
	return true
}

// blockingBackend is Blocking on one loop.
type blockingBackend struct {
	b    *blocking
	loop backend.Loop

	mu      sync.Mutex
	waiting []*blockingExchange // exchanges that the loop has to attend to
	posted  bool                // attendNotified is posted

	// Owned by the loop.
	spare  []*blockingExchange // the next array for waiting
	yields yields
	asides asides
}

// Start copies the head and the part of the body that has arrived, and starts or queues the exchange.
func (p *blockingBackend) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	return p.start(newBlockingExchange(p, x, head, listener, body, more))
}

// Overlap implements backend.Overlapping.
func (p *blockingBackend) Overlap() int { return p.b.overlap() }

func (p *blockingBackend) start(e *blockingExchange) (backend.Running, error) {
	e.aside = e.inEnd && e.file == nil && p.asides.now(p.loop.Now())
	waits, err := p.b.admit(e)
	switch {
	case err != nil:
		e.release()
		return nil, err
	case waits:
		e.beginWait()
	case e.aside:
		if !p.asides.loop.Aside(e) {
			e.aside = false
			p.asides.never()
			p.b.relaunch(e)
		}
	default:
		p.yield()
	}
	return e, nil
}

// needLoop is notify for a handler that runs, and may wait for what it asks of the loop.
func (e *blockingExchange) needLoop() {
	e.needed = true
	if e.stint != 0 {
		e.p.asides.loop.Relieve(e.stint)
	}
	e.p.notify(e)
}

// passEnd is notify for a handler that has returned. The loop's own goroutine knows.
func (e *blockingExchange) passEnd() {
	if !e.aside {
		e.p.notify(e)
	}
}

// notify makes the loop attend to e. It may be called on any goroutine, with e.mu held.
func (p *blockingBackend) notify(e *blockingExchange) {
	p.mu.Lock()
	if e.notified {
		p.mu.Unlock()
		return
	}
	e.notified = true
	p.waiting = append(p.waiting, e)
	post := !p.posted
	p.posted = true
	p.mu.Unlock()
	if post {
		p.loop.Post(p.attendNotified)
	}
}

// attendNotified attends to all exchanges passed to notify.
func (p *blockingBackend) attendNotified() {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting, p.spare = p.spare[:0], nil
	p.posted = false
	for _, e := range waiting {
		e.notified = false
	}
	p.mu.Unlock()
	for i, e := range waiting {
		waiting[i] = nil
		e.attend()
	}
	p.spare = waiting[:0]
}
