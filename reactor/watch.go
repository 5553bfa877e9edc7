package reactor

import (
	"sync/atomic"
	"time"
)

// TurnWatch lets other goroutines see how long the turns of a loop take: see Options.Watch. Its zero value is ready for use, by one
// loop.
type TurnWatch struct {
	started atomic.Int64 // the turn in progress, on the clock of Loop.Clock; 0: none
	longest atomic.Int64 // ns
}

// Started is when the turn in progress has started, on the clock of Loop.Clock, or 0 if the loop waits for events.
func (w *TurnWatch) Started() int64 { return w.started.Load() }

// Longest is how long the longest turn so far took.
func (w *TurnWatch) Longest() time.Duration { return time.Duration(w.longest.Load()) }

func (w *TurnWatch) begin(now int64) { w.started.Store(now) }

func (w *TurnWatch) end(now int64) {
	if took := now - w.started.Load(); took > w.longest.Load() {
		w.longest.Store(took)
	}
	w.started.Store(0)
}
