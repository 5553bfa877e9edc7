package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/reactor"
)

// stallAfterDefault is how long a turn may take before Options.Stalled is called.
const stallAfterDefault = 100 * time.Millisecond

// stackBytes is how much of the stacks of all goroutines is looked through for that of a loop.
const stackBytes = 4 << 20

// watcher looks after the turns of the loops, on a goroutine.
type watcher struct {
	e       *Engine
	after   time.Duration
	stalled func(loop int, turn time.Duration, stack []byte)
	turns   []reactor.TurnWatch // by loop
	told    []int64             // by loop: the start of the last turn that was reported
	once    sync.Once           // stop was closed
	stop    chan struct{}
	stopped chan struct{}

	goroutine atomic.Uint64 // that runs it
}

// newWatcher returns nil if the options want none. Without a function to call, it only measures and has no goroutine.
func newWatcher(e *Engine, o Options, loops int) *watcher {
	if o.Stalled == nil && !o.MeasureTurns {
		return nil
	}
	w := &watcher{e: e, after: cmp.Or(max(o.StallAfter, 0), stallAfterDefault), stalled: o.Stalled, stop: make(chan struct{}), stopped: make(chan struct{})}
	w.turns, w.told = make([]reactor.TurnWatch, loops), make([]int64, loops)
	return w
}

// of is the watch of a loop; nil if there is none.
func (w *watcher) of(loop int) *reactor.TurnWatch {
	if w == nil {
		return nil
	}
	return &w.turns[loop]
}

func (w *watcher) run() {
	defer close(w.stopped)
	w.goroutine.Store(goroutineID())
	tick := time.NewTicker(max(w.after/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			for _, l := range w.e.loops {
				select {
				case <-w.stop: // the function may have ended the engine
					return
				default:
					w.look(l)
				}
			}
		}
	}
}

// look reports the turn of a loop, once, if it takes too long.
func (w *watcher) look(l *loop) {
	watch := &w.turns[l.index]
	started := watch.Started()
	if started == 0 || started == w.told[l.index] || l.r.Clock()-started < int64(w.after) {
		return
	}
	stack := stackOf(l.goroutine.Load())
	if watch.Started() != started {
		return // it has just ended: the stack shows something else
	}
	w.told[l.index] = started
	w.stalled(l.index, time.Duration(l.r.Clock()-started), stack)
}

// end stops the goroutine, and waits for it unless it is the caller: Options.Stalled may call Shutdown. It may be called again.
func (w *watcher) end() {
	if w == nil || w.stalled == nil {
		return
	}
	w.once.Do(func() { close(w.stop) })
	if w.goroutine.Load() != goroutineID() {
		<-w.stopped
	}
}

// stackOf is the stack of a goroutine, as in a trace of all of them, or what was found of it.
func stackOf(goroutine uint64) []byte {
	all := make([]byte, stackBytes)
	all = all[:runtime.Stack(all, true)]
	_, rest, found := bytes.Cut(all, fmt.Appendf(nil, "goroutine %d [", goroutine))
	if !found {
		return nil
	}
	stack, _, _ := bytes.Cut(rest, []byte("\n\n"))
	return append(fmt.Appendf(nil, "goroutine %d [", goroutine), stack...)
}
