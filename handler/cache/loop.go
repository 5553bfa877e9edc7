package cache

import (
	"bytes"
	"slices"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

const (
	// headMax bounds in bytes the request heads that are copied: to wait, and to ask the backend for something else than the
	// client did. Requests with larger ones are answered from the store, or passed on.
	headMax = 16 << 10
	// runsKept is how many runs a loop keeps for reuse.
	runsKept = 1 << 10
	// turnMax is how many responses from the store are sent before the loop handles other events.
	turnMax = 4096
)

// loop is the part of a cache on one loop: its LoopBackend and its Turn.
type loop struct {
	// Immutable.
	backend.Wrapped
	c     *Cache
	store *Store
	on    backend.Loop

	// Owned by the loop.
	q       query
	waiting map[*run]struct{}
	ready   []*run // to be answered at the end of the turn
	spare   *run   // for the next request that may have to wait
	free    *run   // for reuse, linked by next
	frees   int
	out     []byte // the head of a response
	raw     []byte // a request of our own
	own     httpparse.Head
	again   httpparse.Head // of a kept request
	parser  httpparse.Parser
}

// Start takes an exchange.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	switch string(h.Bytes(h.Method)) {
	case "GET", "HEAD":
		if len(body) == 0 && !more && l.q.read(h, !l.c.options.IgnoreDirectives) {
			return l.begin(x, h, listener)
		}
	case "OPTIONS", "TRACE":
	default:
		l.passed()
		return l.startUnsafe(x, h, more, func(r *run) (backend.Running, error) { return l.Next.Start(forwarded{r}, h, listener, body, more) })
	}
	l.passed()
	return l.Next.Start(x, h, listener, body, more)
}

// begin decides what happens to a request that may be answered from the store.
func (l *loop) begin(x backend.Exchange, h *httpparse.Head, listener int) (backend.Running, error) {
	if l.spare == nil {
		l.spare = &run{l: l}
	}
	waiter := l.spare
	if len(h.Raw) > headMax {
		waiter = nil
	}
	a := l.store.ask(&l.q, waiter, false, l.on.Now())
	switch a.action {
	case actServe:
		r := l.newRun(x, h)
		r.answerWith(a.v, &l.q, a.result())
		l.queue(r)
		if a.fill != nil {
			r.result = backend.CacheRefresh
			l.renew(a.fill, x, h, listener)
		}
		return r, nil
	case actWait:
		r := l.spare
		l.spare = nil
		r.init(x, h)
		r.kept, r.listener = keep(h, nil), listener
		r.wait(a.fill)
		return r, nil
	case actFill:
		r := &run{l: l}
		r.init(x, h)
		return l.fill(r, &a, h, listener)
	case actFail:
		r := l.newRun(x, h)
		r.state, r.status = runFailing, 504
		l.queue(r)
		return r, nil
	}
	return l.Next.Start(x, h, listener, nil, false)
}

// fill starts an exchange whose response may be kept.
func (l *loop) fill(r *run, a *answer, h *httpparse.Head, listener int) (backend.Running, error) {
	r.state, r.filling, r.capture = runForward, a.fill, new(capture)
	r.result, r.why = backend.CacheMiss, l.q.why(a)
	r.authorized, r.insists = l.q.authorized, l.q.control.noCache
	if len(h.Raw) <= headMax {
		r.kept = keep(h, r.kept)
	}
	if a.bare {
		h = l.bare(r, h)
	}
	inner, err := l.Next.Start(forwarded{r}, h, listener, nil, false)
	if err == nil {
		r.inner = inner
		return r, nil
	}
	if r.fallBack() {
		l.queue(r)
		return r, nil
	}
	r.failFill(0)
	return nil, err
}

// bare returns the request that is sent in place of h: without conditions, so that the response is complete and can be kept,
// or with those that validate what is kept. The conditions of the client are judged when the response comes.
func (l *loop) bare(r *run, h *httpparse.Head) *httpparse.Head {
	prev := r.filling.prev
	validates := prev != nil && prev.validated
	if !validates && !l.q.conditions || r.kept == nil {
		return h
	}
	own := l.rewrite(h, prev)
	if own == nil {
		return h
	}
	r.validates, r.conditional = validates, l.q.conditions
	return own
}

// renew starts an exchange without a client, to refresh a stale response.
func (l *loop) renew(f *fill, x backend.Exchange, h *httpparse.Head, listener int) {
	r := &run{l: l, state: runForward, filling: f, capture: new(capture), authorized: l.q.authorized}
	r.local, r.remote = x.Addrs()
	var own *httpparse.Head
	if len(h.Raw) <= headMax {
		r.kept = keep(h, nil)
		own = l.rewrite(h, f.prev)
	}
	if own == nil {
		r.ended = true
		r.failFill(0)
		return
	}
	r.validates = f.prev.validated
	r.goesAlone()
	inner, err := l.Next.Start(forwarded{r}, own, listener, nil, false)
	if err != nil {
		r.ended = true
		r.failFill(0)
		return
	}
	r.inner = inner
}

// startUnsafe starts an exchange that may change what the store has of its key.
// more: its body has not arrived in full.
func (l *loop) startUnsafe(x backend.Exchange, h *httpparse.Head, more bool, start func(r *run) (backend.Running, error)) (backend.Running, error) {
	r := &run{l: l}
	r.init(x, h)
	r.state, r.bodyOver = runForward, !more
	if l.q.readKey(h) {
		r.invalidates = bytes.Clone(l.q.key)
	}
	inner, err := start(r)
	if err != nil {
		return nil, err
	}
	r.inner = inner
	return r, nil
}

// queue has a run answered at the end of the turn.
func (l *loop) queue(r *run) {
	r.queued = true
	l.ready = append(l.ready, r)
}

// BeginTurn implements backend.Turn.
func (l *loop) BeginTurn() {}

// EndTurn sends the responses of the turn.
func (l *loop) EndTurn() (again bool) {
	for i := 0; i < len(l.ready); i++ {
		if i == turnMax {
			l.ready = slices.Delete(l.ready, 0, i)
			return true
		}
		r := l.ready[i]
		l.ready[i] = nil
		r.settle()
	}
	l.ready = l.ready[:0]
	return false
}

// close ends the part.
func (l *loop) close() {
	for l.EndTurn() {
	}
	l.on.OffTurn(l)
}

// newRun returns a run for one response from the store.
func (l *loop) newRun(x backend.Exchange, h *httpparse.Head) *run {
	r := l.free
	if r == nil {
		r = &run{l: l, pooled: true}
	} else {
		l.free, r.next = r.next, nil
		l.frees--
	}
	r.init(x, h)
	return r
}

// giveBack keeps a run for reuse. Nothing else may refer to it.
func (l *loop) giveBack(r *run) {
	if !r.pooled || l.frees >= runsKept {
		return
	}
	*r = run{l: l, pooled: true, rest: r.rest[:0], next: l.free}
	l.free = r
	l.frees++
}
