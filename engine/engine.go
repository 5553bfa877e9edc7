package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"moonbridge/handler/backend"
)

// Engine is a server: loops with the listeners and connections that live on them. Its methods may be called from any
// goroutine but not from a loop: they wait for the loops.
type Engine struct {
	log      *slog.Logger
	loops    []*loop
	connsMax int64

	accessLog func(*Access) // nil: none
	idPrefix  string        // of requests, for it

	running sync.WaitGroup

	// Shared by the loops.
	conns      atomic.Int64
	refused    atomic.Uint64 // exchanges that a backend did not take
	refusedLog logLimit
	stopping   atomic.Bool

	mu        sync.Mutex
	listeners []*Listener
	stopped   bool
}

// ErrStopped is returned by calls on an Engine that is shutting down.
var ErrStopped = errors.New("engine: stopped")

// New starts an engine: its loops run, without a listener. It raises GOMAXPROCS to the number of loops and two more
// where it is lower: a loop that waits for events holds a processor of Go's scheduler for a while, and timers and other
// goroutines must not wait for that.
func New(o Options) (*Engine, error) {
	e := &Engine{log: o.logger(), connsMax: connsMax(o.MaxConns), accessLog: o.AccessLog}
	if e.accessLog != nil {
		e.idPrefix = newIDPrefix()
	}
	n := o.loops()
	if runtime.GOMAXPROCS(0) < n+2 {
		runtime.GOMAXPROCS(n + 2)
	}
	for i := range n {
		l, err := newLoop(e, i, n)
		if err != nil {
			e.stopLoops()
			return nil, fmt.Errorf("open loop: %w", err)
		}
		e.loops = append(e.loops, l)
		e.running.Add(1)
		go func() {
			defer e.running.Done()
			if err := l.Run(); err != nil {
				e.log.Error("loop ended", "loop", i, "err", err)
			}
		}()
	}
	return e, nil
}

// connsMax is the bound on connections: what is asked for, at most what the limit on open files leaves room for.
func connsMax(asked int) int64 {
	var files syscall.Rlimit
	room := int64(1024)
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		room = int64(min(files.Cur, 1<<30))
	}
	room = max(room-reservedFiles, room/2)
	if asked > 0 {
		room = min(room, int64(asked))
	}
	return room
}

// Loops is the number of loops.
func (e *Engine) Loops() int { return len(e.loops) }

// Conns is the number of open connections.
func (e *Engine) Conns() int64 { return e.conns.Load() }

// Attach attaches b to every loop. Serve does that too: Attach is for a backend that has no listener.
func (e *Engine) Attach(b backend.Backend) error {
	return e.onEveryLoop(func(l *loop) error {
		_, err := l.attach(b)
		return err
	})
}

// Detach forgets a backend that no listener is served by any more. What it still runs goes on.
func (e *Engine) Detach(b backend.Backend) {
	e.onEveryLoop(func(l *loop) error {
		delete(l.backends, b)
		return nil
	})
}

// Serve has the connections of ln served by b within lim. index is passed to the backend with every exchange, to tell
// its listeners apart. Connections that came since Open are waiting.
//
// It may be called again for the same listener, with another backend: then new connections, and the next request of each
// connection that is there, go to the new one. When Serve has returned, no further exchange of this listener reaches the
// old one.
func (e *Engine) Serve(ln *Listener, b backend.Backend, index int, lim Limits) error {
	resolved := lim.resolve()
	return e.onEveryLoop(func(l *loop) error {
		lb, err := l.attach(b)
		if err != nil {
			return err
		}
		return l.bind(ln, &service{backend: lb, index: index, limits: resolved}, nil)
	})
}

// onEveryLoop calls fn on each loop and waits; the first error is returned.
func (e *Engine) onEveryLoop(fn func(*loop) error) error {
	results := make(chan error, len(e.loops))
	for _, l := range e.loops {
		if !l.Post(func() { results <- fn(l) }) {
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

// logLimit lets one line through a second, for events that come in floods.
type logLimit struct{ nextMS atomic.Uint64 }

func (g *logLimit) allow(nowMS uint64) bool {
	next := g.nextMS.Load()
	return nowMS >= next && g.nextMS.CompareAndSwap(next, nowMS+1000)
}
