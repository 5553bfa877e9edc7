package engine

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/handler/list"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
	"moonbridge/reactor"
)

// loop is what the engine has on each of the reactor's loops. Only that loop touches it.
type loop struct {
	// Immutable.
	e     *Engine
	r     *reactor.Loop
	index int
	// threaded: its goroutine is locked to a thread, and nothing that it calls may change that.
	threaded bool
	sys      system
	pool     *bufio.Pool

	goroutine atomic.Uint64 // that runs the loop

	accepted, requests uint64         // so far
	secured12          HandshakeStats // connections whose TLS handshakes were completed, up to version 1.2
	secured13          HandshakeStats // likewise, from version 1.3 on
	limited            uint64         // connections that were refused by the limits of their listener
	penalized          uint64         // connections that were refused because of floods
	traffic            *traffic

	backends map[backend.Backend]backend.LoopBackend
	bindings map[*Listener]*binding
	conns    list.List[conn] // shutdown goes through them
	agains   resumption[*conn]

	prefaced map[*prefaced]struct{}
	preface  []byte // room for one

	remainders map[*conn]*remainder // rarely any: they would make every conn larger
	values     map[*conn]any        // of backend.ConnKeeper
	places     map[int]place        // of connections in the limits of their listeners, by descriptor; nil: there has been no such limit

	raw   rawLoop
	shown backend.Loop // the loop, as backends and Streams see it

	pipelines     *pipeline  // free ones
	pipelined     *pipelined // free ones
	pipelinesFree int
	pipelinedFree int

	records []*accessRecord // free ones
	lastID  *uint64         // of a request
	tracer  *tracer         // nil: requests are not traced

	tls    *tlsLoop // the part for connections with TLS; nil: there has been none
	sealed *tlsLoop // the part that this is the second loop object of; nil: this is the first

	h2          *h2Loop // the part for connections with HTTP/2; nil: there has been none
	multiplexed *h2Loop // the part that this is the loop object of the streams of; nil: it is another one

	secure bool                           // its connections have TLS
	tlsOf  func(fd int) *backend.TLSState // what is known of that; nil: they have none

	warm [warmFiles]warmFile // by their descriptors

	// The clocks of records: when an exchange begins and ends.
	began, ended func() time.Time
	turn, clock  func() int64 // likewise, of those that only count; nil: the others count, too

	// Room that is used again for each request.
	head      httpparse.Head // of the request that is being parsed
	errorPage []byte         // of the engine's own response
	headRoom  []byte         // of a head that gets fields
	spooled   []byte         // on their way to or from a file; see spoolRoom
	logged    Access         // what the access log is called with
	counted   Access         // what it is called with if it only counts
}

func newLoop(e *Engine, index, count int, o Options, park bool) (*loop, error) {
	var l *loop
	led := func() { l.goroutine.Store(goroutineID()) }
	r, err := reactor.NewLoop(reactor.Options{Index: index, Count: count, Batch: o.Batch, Park: park, Watch: e.watcher.of(index), Logger: e.log, Led: led})
	if err != nil {
		return nil, err
	}
	t := new(traffic)
	sys := systemOf(r, t)
	sys.startRead = e.readers.start
	l = makeLoop(e, index, sys)
	l.traffic = t
	l.r, l.threaded = r, o.Batch
	l.shown = backendLoop{r, l}
	if o.Check {
		l.pool.Poison()
	}
	if e.accessBrief {
		l.readBriefly()
	}
	l.raw.pipes.max = pipesOf(e.spool.filesMax, count)
	return l, nil
}

// makeLoop makes a loop that has no reactor yet.
func makeLoop(e *Engine, index int, sys system) *loop {
	l := &loop{
		e:        e,
		index:    index,
		sys:      sys,
		pool:     bufio.NewPool(),
		backends: make(map[backend.Backend]backend.LoopBackend),
		conns:    list.New(func(c *conn) *list.Links[conn] { return &c.links }),
		bindings: make(map[*Listener]*binding),

		prefaced:   make(map[*prefaced]struct{}),
		remainders: make(map[*conn]*remainder),
		values:     make(map[*conn]any),
		lastID:     new(uint64),
		traffic:    new(traffic),
		tracer:     newTracer(e.trace),
		began:      sys.wallClock,
		ended:      sys.wallClock,
		counted:    Access{Loop: index},
	}
	l.agains.init(&l.sys, (*conn).resume)
	l.raw.init(&l.sys)
	return l
}

// attach returns the backend's part on this loop, and makes it the first time.
func (l *loop) attach(b backend.Backend) (backend.LoopBackend, error) {
	if lb := l.backends[b]; lb != nil {
		return lb, nil
	}
	lb, err := b.Attach(l.shown)
	if err != nil {
		return nil, err
	}
	if lb == nil {
		return nil, fmt.Errorf("engine: %T.Attach returned nil, without an error", b)
	}
	l.backends[b] = lb
	return lb, nil
}

// accept takes over a new connection of a listener that s serves. local is the place of its local address in the service's addrs;
// 0: they do not know it yet.
func (l *loop) accept(s *service, fd int, peer netip.AddrPort, local uint8) {
	if !l.admits() {
		l.countConnection(aboveLimit, "", peer)
		l.turnAway(s, fd, peer)
		return
	}
	l.accepted++
	c := newConn(l, s, fd, peer)
	c.socket.local = local
	if err := l.sys.add(fd, c); err != nil {
		l.e.log.Error("connection lost", "loop", l.index, "err", err)
		c.forget()
		l.closeNow(fd) // the reactor does not know it
		return
	}
	if l.e.connState != nil {
		c.report(ConnNew)
	}
}

// admit counts a new connection, unless there is no room for it.
func (e *Engine) admit() bool {
	if n := e.conns.Add(1); n > e.connsMax+e.passing.Load() || n+e.dialed.Load()+e.spool.Files() > e.spool.filesMax {
		e.conns.Add(-1)
		return false
	}
	return true
}

// turnAway answers a connection that there is no room for, as far as that works without waiting.
func (l *loop) turnAway(s *service, fd int, peer netip.AddrPort) {
	page := l.makeErrorPage(httpwrite.ErrorPage{
		Status: statusUnavailable, RetryAfter: retryAfterSeconds, Close: true, Fixed: &s.limits.fixed})
	l.closeAfter(fd, page)
	if l.e.accessLog != nil {
		l.logTurnedAway(peer, page, s.account)
	}
}

// turnedAwayReads is how often a connection that is turned away is read from.
const turnedAwayReads = 4

// closeAfter closes a connection that the reactor does not know, after last words. What has arrived by then is thrown away: a close with bytes
// unread would be a RST, which may destroy them.
func (l *loop) closeAfter(fd int, last []byte) {
	l.sys.write(fd, last)
	room := l.spoolRoom()
	for range turnedAwayReads {
		if n, errno := l.sys.read(fd, room); n < len(room) || errno != 0 {
			break
		}
	}
	l.closeNow(fd)
}

// backendLoop shows a loop as a backend.Loop.
type backendLoop struct {
	*reactor.Loop
	l *loop
}

func (b backendLoop) Post(fn func()) {
	mustCall("Loop.Post", fn != nil)
	b.Loop.Post(fn)
}

func (b backendLoop) After(d time.Duration, fn func()) backend.Timer {
	mustCall("Loop.After", fn != nil)
	return b.Loop.After(d, fn)
}

func (b backendLoop) Aside(a backend.Aside) bool { return b.Loop.Aside(a) }
func (b backendLoop) OnTurn(t backend.Turn)      { b.Loop.OnTurn(t) }
func (b backendLoop) Check() bool                { return b.l.e.check }
func (b backendLoop) OffTurn(t backend.Turn)     { b.Loop.OffTurn(t) }
