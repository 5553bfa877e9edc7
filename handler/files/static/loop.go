package static

import (
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/handler/files"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// loop is a backend on one loop: its LoopBackend and its Turn.
type loop struct {
	// Immutable.
	s               *Static
	fixed           *fixed
	on              backend.Loop
	backend.Wrapped // any request may be passed on to it

	// Owned by the loop.
	normalizer normalizer
	entries    map[string]*entry   // that were used here
	added      int                 // to entries since the last sweep
	pending    map[string]*pending // lookups in progress that requests of this loop wait for
	dates      httpwrite.Date
	plan       files.Plan
	turn       []*exchange // that began in this turn, for EndTurn
	heads      []byte      // of their responses
	free       *exchange   // for reuse, linked by next
	frees      int
	closed     bool // nothing is answered here any more
}

const (
	// exchangesKept is how many exchanges are kept for reuse.
	exchangesKept = 1024
	// bytesKept and fieldsKept bound each of the buffers that such an exchange keeps.
	bytesKept  = 16 << 10
	fieldsKept = 128
	// headsKept is how many bytes a loop keeps for the heads of a turn.
	headsKept = 256 << 10
	// sweepEvery is how many entries a loop adds to its map before it drops dead ones from it.
	sweepEvery = 256
)

func newLoop(s *Static, on backend.Loop, f *fixed) *loop {
	return &loop{s: s, fixed: f, on: on, entries: make(map[string]*entry), pending: make(map[string]*pending)}
}

// Start answers a request, or passes it on.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if e, err := l.begin(x, h, listener, more, len(body) > 0 || more); err != nil {
		return nil, err
	} else if e != nil {
		return e, nil
	}
	return l.Next.Start(x, h, listener, body, more)
}

// filesLoop is a loop whose next backend takes request bodies in files.
type filesLoop struct{ *loop }

// StartFile answers a request, or passes it on.
func (l *filesLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	if e, err := l.begin(x, h, listener, false, true); err != nil {
		return nil, err
	} else if e != nil {
		body.Close()
		return e, nil
	}
	return l.Files.StartFile(x, h, listener, body, trailer)
}

// StartSocket passes a raw connection on.
func (l *loop) StartSocket(fd int, listener int, local, remote netip.AddrPort) error {
	if l.Sockets == nil {
		return backend.ErrStopped
	}
	return l.Sockets.StartSocket(fd, listener, local, remote)
}

// StartCountedSocket is StartSocket for a connection that is counted.
func (l *loop) StartCountedSocket(fd int, listener int, local, remote netip.AddrPort, ended func()) error {
	if l.Sockets == nil {
		return backend.ErrStopped
	}
	return backend.StartCounted(l.Sockets, fd, listener, local, remote, ended)
}

// action is what becomes of a request.
type action uint8

const (
	actPass       action = iota // the next backend gets it
	actMissing                  // there can be no file
	actNotAllowed               // its method is not one for files
	actLookUp                   // there may be a file
)

// route finds the rule for a request, and what to do. path is valid until the next call. A request with a body is answered here only
// if nothing else answers it.
func (l *loop) route(h *httpparse.Head, hasBody bool) (path []byte, r *rule, act action) {
	isFile := false
	if !h.Asterisk {
		path, isFile = l.normalizer.normalize(files.PathOf(h))
		r = match(l.s.rules, path)
		isFile = isFile && r != nil && len(path) <= len(r.Prefix)+pathMax
	}
	get := h.IsHead || string(h.Bytes(h.Method)) == "GET"
	switch passes := l.passes(r); {
	case passes && (!isFile || !get || hasBody):
		return path, r, actPass
	case r != nil && !get:
		return path, r, actNotAllowed
	case !isFile:
		return path, r, actMissing
	}
	return path, r, actLookUp
}

// passes reports whether the next backend gets requests that no file answers. r may be nil.
func (l *loop) passes(r *rule) bool { return l.Next != nil && (r == nil || !r.NotFound) }

// begin takes an exchange that is to be answered here. nil without an error: it is for the next backend. more: the rest of the
// request body is still to come.
func (l *loop) begin(x backend.Exchange, h *httpparse.Head, listener int, more, hasBody bool) (*exchange, error) {
	path, r, act := l.route(h, hasBody)
	if act == actPass {
		return nil, nil
	}
	if l.closed {
		return nil, backend.ErrStopped
	}
	var en *entry
	if act == actLookUp {
		en = l.find(path, r)
	}
	if en != nil && en.what == whatNothing {
		if l.passes(r) {
			return nil, nil
		}
		act = actMissing
	}
	e := l.newExchange(x, listener, h, more)
	switch {
	case act == actNotAllowed:
		l.notAllowed(e)
	case act == actMissing:
		e.fail(404, 0)
	case en == nil || !l.respond(e, h, en, false):
		l.await(e, h, string(path), r)
		return e, nil
	}
	return l.queued(e), nil
}

// queued makes EndTurn settle e, since e.x must not be called before Start has returned.
func (l *loop) queued(e *exchange) *exchange {
	e.queued = true
	l.turn = append(l.turn, e)
	return e
}

// find returns the entry of a path if it may be used now.
func (l *loop) find(path []byte, r *rule) *entry {
	en := l.entries[string(path)]
	if en == nil || en.dead.Load() {
		if en != nil {
			delete(l.entries, string(path))
		}
		if en = l.s.store.get(string(path)); en == nil {
			return nil
		}
		l.keep(en)
	}
	age := en.age(l.on.Now())
	if age >= 2*l.s.fresh {
		return nil // also if each request is to be looked up
	}
	if !en.used.Load() {
		en.used.Store(true)
	}
	if age >= l.s.fresh {
		l.recheck(en)
	}
	return en
}

// keep adds an entry to the map of the loop.
func (l *loop) keep(en *entry) {
	if l.added++; l.added >= sweepEvery {
		l.added = 0
		for key, old := range l.entries {
			if old.dead.Load() {
				delete(l.entries, key)
			}
		}
	}
	l.entries[en.key] = en
}

// recheck looks an entry up again that is still in use.
func (l *loop) recheck(en *entry) {
	if !en.checking.CompareAndSwap(false, true) {
		return
	}
	s, begun := l.s, l.on.Now()
	if !s.lookups.run(en.rule, func() { s.lookUp(en.rule, en.key, en, begun).release() }) {
		en.checking.Store(false)
	}
}

// lookUp looks a path up and stores the result. The caller has to release it.
func (s *Static) lookUp(r *rule, key string, old *entry, begun int64) *entry {
	if old != nil && (old.dead.Load() || !old.acquire()) {
		old = nil
	}
	e := look(r, key, old)
	e.checkedNS.Store(begun)
	if e == old {
		e.checking.Store(false)
		return e
	}
	if old != nil {
		old.release()
	}
	switch {
	case e.passing && old != nil:
		s.store.drop(old)
	case e.passing:
	case !e.acquire() || !s.store.put(e):
		e.dead.Store(true)
		e.release()
	}
	return e
}

// pending is a lookup that requests wait for.
type pending struct {
	waiting []*exchange
	timer   backend.Timer
	late    bool // it has taken too long: nothing waits for it any more
}

// await lets e wait for a lookup. All requests of the loop for a path wait for the same one.
func (l *loop) await(e *exchange, h *httpparse.Head, key string, r *rule) {
	e.keepHead(h)
	e.state = stateLookup
	p := l.pending[key]
	if p == nil {
		p = new(pending)
		s, old, begun := l.s, l.entries[key], l.on.Now()
		if old == nil {
			old = s.store.get(key)
		}
		if p.late = !s.lookups.run(r, func() {
			en := s.lookUp(r, key, old, begun)
			l.on.Post(func() { l.found(p, en) })
		}); !p.late {
			l.pending[key] = p
			p.timer = l.on.After(s.wait, func() { l.expire(p) })
		}
	}
	if p.late {
		e.fail(503, retryAfter)
		l.queued(e)
		return
	}
	p.waiting = append(p.waiting, e)
}

// expire answers the requests that have waited for a lookup for too long: its directory hangs. So are later ones, until it ends.
func (l *loop) expire(p *pending) {
	p.late = true
	waiting := p.waiting
	p.waiting = nil
	for _, e := range waiting {
		if e.state == stateLookup {
			e.fail(503, retryAfter)
			e.settle()
		} else {
			e.reuse() // cancelled
		}
	}
}

// found answers the requests that have waited for a lookup.
func (l *loop) found(p *pending, en *entry) {
	delete(l.pending, en.key)
	p.timer.Stop()
	if !en.passing && !en.dead.Load() {
		l.keep(en)
	}
	for _, e := range p.waiting {
		if e.state != stateLookup {
			e.reuse() // cancelled
			continue
		}
		if en.what == whatNothing && l.passes(en.rule) {
			e.pass()
			continue
		}
		if !l.respond(e, &e.head, en, true) {
			e.fail(500, 0)
		}
		e.settle()
	}
	en.release()
	l.resetHeads()
}

// BeginTurn does nothing.
func (l *loop) BeginTurn() {}

// EndTurn sends the responses of the turn.
func (l *loop) EndTurn() (again bool) {
	for i := 0; i < len(l.turn); i++ {
		e := l.turn[i]
		l.turn[i] = nil
		e.settle()
	}
	l.turn = l.turn[:0]
	l.resetHeads()
	return false
}

// resetHeads reuses the room for heads. Nothing may refer to it.
func (l *loop) resetHeads() {
	if len(l.turn) > 0 {
		return // it is still needed
	}
	l.heads = l.heads[:0]
	if cap(l.heads) > headsKept {
		l.heads = nil
	}
}

// close ends the part of the Static on this loop. Connections of a listener that is gone may still send requests: without EndTurn
// they would never be answered, so they are refused.
func (l *loop) close() {
	l.closed = true
	l.EndTurn()
	l.on.OffTurn(l)
}

// newExchange returns an exchange for x.
func (l *loop) newExchange(x backend.Exchange, listener int, h *httpparse.Head, more bool) *exchange {
	e := l.free
	if e == nil {
		e = &exchange{l: l}
	} else {
		l.free = e.next
		l.frees--
	}
	e.x, e.next = x, nil
	e.listener = listener
	e.isHead = h.IsHead
	e.keepAlive = h.Persistent && h.Minor == 0
	e.close = !h.Persistent || more || l.fixed.close
	return e
}

// putExchange keeps e for reuse.
func (l *loop) putExchange(e *exchange) {
	raw, fields, id, rest := atMost(e.head.Raw, bytesKept), atMost(e.head.Fields, fieldsKept), atMost(e.head.ID, bytesKept), atMost(e.rest, bytesKept)
	trace := atMost(e.head.Trace, bytesKept)
	*e = exchange{l: l}
	if l.frees >= exchangesKept {
		return
	}
	e.head.Raw, e.head.Fields, e.head.ID, e.head.Trace, e.rest = raw, fields, id, trace, rest
	e.next = l.free
	l.free = e
	l.frees++
}

// atMost returns b, empty, for reuse; nil if its capacity is larger than most.
func atMost[T any](b []T, most int) []T {
	if cap(b) > most {
		return nil
	}
	return b[:0]
}
