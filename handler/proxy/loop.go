package proxy

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/list"
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// loop is the proxy on one loop.
type loop struct {
	// Immutable.
	backend.Loop
	config *Config
	dialer backend.Dialer
	limits httpparse.Limits // of response heads
	check  bool             // see backend.Checks

	services map[*upstream.Set]*service
	latest   *service        // the one used last: mostly it is the only one
	links    list.List[link] // all connections to targets
	sweep    sweep
	budget   budget
	date     httpwrite.Date

	exchanges *exchange // free ones
	frees     int
	windows   [][]byte // free ones

	// Room that is used again within each call.
	hop      httpparse.Hop
	response httpparse.Response
	answer   Response
	head     []byte // of a response, or a request whose Host is that of the target
	coded    []byte // a part of a body
}

const (
	exchangesKept = 1024
	windowsKept   = 64
	// bytesKept is the largest buffer that a free exchange keeps.
	bytesKept = 8 << 10
)

func newLoop(c *Config, l backend.Loop, d backend.Dialer) *loop {
	p := &loop{
		links: list.New(func(k *link) *list.Links[link] { return &k.inLoop }),
		Loop:  l, config: c, dialer: d,
		limits:   httpparse.Limits{HeadBytes: c.Window},
		check:    backend.Checks(l),
		services: make(map[*upstream.Set]*service),
	}
	p.sweep.loop = p
	p.budget.init(c.Retry.Budget)
	return p
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	e := l.take()
	e.begin(x, head, listener, len(body), more)
	err := e.route(head)
	e.request.head = nil // the next request of the loop is parsed into the same memory
	switch {
	case err == errFinal:
		e.later(e.answerFinal)
		return e, nil
	case err != nil:
		e.failLater(err)
		return e, nil
	}
	l.budget.request()
	e.send(body)
	return e, nil
}

// take returns a free exchange.
func (l *loop) take() *exchange {
	e := l.exchanges
	if e == nil {
		return &exchange{l: l}
	}
	l.exchanges, e.nextFree = e.nextFree, nil
	l.frees--
	return e
}

// put keeps an exchange that is over for the next one.
func (l *loop) put(e *exchange) {
	out, rest := e.out, e.rest
	if l.check {
		backend.Overwrite(out)
	}
	if cap(out) > bytesKept {
		out = nil
	}
	if cap(rest) > bytesKept {
		rest = nil
	}
	*e = exchange{l: l, id: e.id + 1, phase: phaseOver, out: out[:0], rest: rest[:0], tried: e.tried[:0], request: Request{edits: e.request.edits.cleared()}}
	if l.frees < exchangesKept {
		e.nextFree, l.exchanges = l.exchanges, e
		l.frees++
	}
}

func (l *loop) takeWindow() []byte {
	if n := len(l.windows); n > 0 {
		w := l.windows[n-1]
		l.windows = l.windows[:n-1]
		return w
	}
	return make([]byte, l.config.Window)
}

func (l *loop) putWindow(w []byte) {
	if w != nil && len(l.windows) < windowsKept {
		l.windows = append(l.windows, w)
	}
}

// service is a Set on one loop.
type service struct {
	set    *upstream.Set
	o      *upstream.Options
	picker *upstream.Picker
	pools  map[*upstream.Server]*pool
}

func (l *loop) service(s *upstream.Set) *service {
	if l.latest != nil && l.latest.set == s {
		return l.latest
	}
	v := l.services[s]
	if v == nil {
		l.forgetClosed()
		v = &service{set: s, o: s.Options(), picker: s.Picker(l.Index(), l.Count()), pools: make(map[*upstream.Server]*pool)}
		l.services[s] = v
		l.startChecks(v)
	}
	l.latest = v
	return v
}

// forgetClosed drops the services of Sets that are closed. What is in progress has its service, and so have connections that wait for
// requests, until their time is over.
func (l *loop) forgetClosed() {
	for s := range l.services {
		if s.Closed() {
			delete(l.services, s)
		}
	}
}

// pool returns the connections to a server.
func (v *service) pool(s *upstream.Server) *pool {
	p := v.pools[s]
	if p == nil {
		v.forget() // those that had no connection when their servers went
		p = newPool(v, s)
		v.pools[s] = p
	}
	return p
}

// forget drops the pools of servers that are no longer targets and have no connection.
func (v *service) forget() {
	for s, p := range v.pools {
		if s.Gone() && p.links == 0 {
			delete(v.pools, s)
		}
	}
}

// budget bounds how many requests are sent again: each request adds a part of a token, each retry takes one.
type budget struct {
	part, tokens float64
}

// budgetTokens is how many retries may come at once: as many as a target that is killed may have had requests of the loop. There may be
// more, but idleMaxDefault of upstream is made for as many.
const budgetTokens = 256

func (b *budget) init(part float64) { b.part, b.tokens = part, budgetTokens }

func (b *budget) request() {
	b.tokens = min(b.tokens+b.part, budgetTokens)
}

func (b *budget) allows() bool { return b.part < 0 || b.tokens >= 1 }

func (b *budget) spend() { b.tokens-- }

func addTime(now int64, d time.Duration) int64 {
	if d <= 0 {
		return never
	}
	return now + int64(d)
}
