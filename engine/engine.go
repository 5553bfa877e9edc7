package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
)

// Engine is a server: event loops, and the listeners and connections that live on them. Any goroutine may call its methods,
// except on a loop (in a backend's, a handler's or a Stream's call, or in AccessLog): those that wait for the loops return
// ErrOnLoop there, and Stats returns nothing.
type Engine struct {
	log      *slog.Logger
	loops    []*loop
	connsMax int64
	passing  atomic.Int64 // connections that are counted twice for a moment: see prefaced.pass
	spool    *spooling

	accessLog   func(*Access)             // nil: none
	accessBrief bool                      // records have no copies of requests
	counts      bool                      // what they are for needs no ids either
	connState   func(ConnInfo, ConnState) // nil: none
	trace       *Tracing                  // nil: none
	observed    bool                      // there is one of the three: exchanges have records
	idPrefix    string                    // of requests, for the access log

	check   bool     // Options.Check
	watcher *watcher // nil: none

	running sync.WaitGroup

	handshakes handshakes

	// Shared by the loops.
	conns    atomic.Int64
	detached atomic.Int64   // of conns: those that have left their loops
	dialed   atomic.Int64   // connections to other servers, including those that are not established yet
	tally    *logging.Tally // of what is refused
	readers  *fileReaders
	stopping atomic.Bool
	over     atomic.Bool // Shutdown resets what is left: nothing begins any more
	floods   floods

	fill    int           // Options.Fill
	given   atomic.Uint32 // connections that came from goroutines: they go to the loops in turn
	pumping pumpTimes

	mu        sync.Mutex
	listeners []*Listener
	stopped   bool
}

// ErrStopped is returned by calls on an Engine that is shutting down.
var ErrStopped = errors.New("engine: stopped")

// New starts an engine: its loops run, without a listener. The error is that of the system call which opens a loop, for
// example because the process has no file descriptors left, or says that Options.Loops is too large.
//
// New raises GOMAXPROCS to the number of loops plus two if it is lower, unless it is set in the environment. A loop that waits
// for events holds a processor of Go's scheduler for a while, and timers and other goroutines should not wait for it. If GOMAXPROCS is 1,
// it stays so without Options.Batch on Linux: the loops then share the processor with other goroutines.
func New(o Options) (*Engine, error) {
	if o.Loops > loopsMax {
		return nil, fmt.Errorf("%d loops: at most %d", o.Loops, loopsMax)
	}
	e := &Engine{
		log: o.logger(), connsMax: connsMax(o.MaxConns, openFilesMax()),
		accessLog: o.AccessLog, accessBrief: o.AccessBrief || o.AccessLog == nil, connState: o.ConnState, trace: o.Trace, check: o.Check,
		pumping: pumpTimes{pumpCheck, pumpPatience}, fill: o.Fill,
	}
	e.counts = o.AccessBrief && o.AccessLog != nil
	e.readers = newFileReaders()
	e.handshakes.most, e.handshakes.waiting = o.handshakes(), newWaiting()
	e.spool = newSpooling(o.Spool, connsMax(0, openFilesMax()))
	e.tally = logging.NewTally(e.log)
	if e.observed = e.accessLog != nil || e.connState != nil || e.trace != nil; e.observed {
		e.idPrefix = accesslog.NewIDPrefix()
	}
	n := o.loops()
	park := o.sharesProcs()
	if e.handshakes.sharesProcs = park; !park {
		raiseProcs(n)
	}
	e.watcher = newWatcher(e, o, n)
	for i := range n {
		l, err := newLoop(e, i, n, o, park)
		if err != nil {
			e.watcher = nil // it does not run yet
			e.stopLoops()
			return nil, fmt.Errorf("open loop: %w", err)
		}
		e.loops = append(e.loops, l)
		e.running.Go(func() {
			if err := l.r.Run(); err != nil {
				e.log.Error("loop ended", "loop", i, "err", err)
			}
		})
	}
	if e.watcher != nil && e.watcher.stalled != nil {
		go e.watcher.run()
	}
	return e, nil
}

// openFilesMax is how many files this process may have open.
func openFilesMax() int64 {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return 1024
	}
	return int64(min(files.Cur, 1<<30))
}

// connsMax is the bound on connections: the number asked for, or what the limit on open files leaves room for if that is
// less or asked is 0.
func connsMax(asked int, files int64) int64 {
	room := max(files-reservedFiles, files/2)
	if asked > 0 {
		room = min(room, int64(asked))
	}
	return room
}

// Loops is the number of loops.
func (e *Engine) Loops() int { return len(e.loops) }

// Loop returns the loop with an index from 0 to Loops()-1. It panics for any other index. What other goroutines may call
// is said there; posted functions may use all of it. It is a backend.Dialer too.
func (e *Engine) Loop(i int) backend.Loop { return e.loops[i].shown }

// Conns is the number of open connections that were accepted. Hijacked ones are counted until they are
// closed, those that ServeSockets has handed over are not, unless they have TLS.
func (e *Engine) Conns() int64 { return e.conns.Load() }

// Attach attaches b to every loop. Serve and ServeSockets do that too: Attach is for a backend without a listener. The
// error is the first that b.Attach returned, or ErrStopped. Like Serve, it panics for a b that cannot be meant.
func (e *Engine) Attach(b backend.Backend) error {
	mustCompare("Attach", b)
	_, err := e.attachAll(b)
	return err
}

// Detach forgets a backend that serves no listener any more. Exchanges that it is running continue. Like Serve, it panics for a b that
// cannot be compared.
func (e *Engine) Detach(b backend.Backend) {
	if b != nil {
		mustCompare("Detach", b)
	}
	forget := func(l *loop) error {
		delete(l.backends, b)
		return nil
	}
	if e.onEveryLoop(forget) == ErrOnLoop {
		for _, l := range e.loops {
			l.r.Post(func() { forget(l) })
		}
	}
}

// Serve starts serving ln's connections with b, subject to lim. Connections made since Open are waiting, and are
// served too. The backend receives index with every exchange, to tell its listeners apart. The error is the first that
// b.Attach returned, ErrStopped, net.ErrClosed for a closed listener, or tells that Limits.Fields or Limits.Always are no field lines. If
// b.Attach has failed, what served ln before still does, on all loops.
// Serve panics if ln is nil or belongs to another Engine, or if b is nil or cannot be compared (a backend is a pointer).
//
// Serve may be called again for the same listener, with another backend: new connections, and the next request on every
// open connection, then go to the new one. When Serve has returned, no further exchange of this listener reaches the old
// one. The exception are connections whose clients were checked in another way than now (see TLS.Config): they end instead, and the old
// one gets their last requests, until AwaitEnded returns.
func (e *Engine) Serve(ln *Listener, b backend.Backend, index int, lim Limits) error {
	e.mustOwn("Serve", ln)
	mustCompare("Serve", b)
	if err := lim.checkLines(); err != nil {
		return err
	}
	parts, err := e.attachAll(b)
	if err != nil {
		return err
	}
	ln.fillLoops(e.fill)
	return e.serveOn(ln, func(l *loop) error { return l.bind(ln, newService(parts[l.index], index, lim), nil, nil) })
}

// attachAll attaches b to every loop, and returns its parts by the index of the loop. What serves a listener changes on none of them before
// b is there on all.
func (e *Engine) attachAll(b backend.Backend) ([]backend.LoopBackend, error) {
	parts := make([]backend.LoopBackend, len(e.loops))
	err := e.onEveryLoop(func(l *loop) (err error) {
		parts[l.index], err = l.attach(b)
		return err
	})
	return parts, err
}

// serveOn binds a listener on every loop with bind.
func (e *Engine) serveOn(ln *Listener, bind func(*loop) error) error {
	err := e.onEveryLoop(bind)
	if err == nil {
		ln.startAccepting()
	}
	return err
}

// onEveryLoop calls fn on each loop and waits. It returns the first error.
func (e *Engine) onEveryLoop(fn func(*loop) error) error {
	if e.onLoop() {
		return ErrOnLoop
	}
	results := make(chan error, len(e.loops))
	for _, l := range e.loops {
		if !l.r.Post(func() { results <- fn(l) }) {
			results <- ErrStopped
		}
	}
	var first error
	for range e.loops {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}
