package reactor

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// TurnWatch measures how long the turns of a loop take, and lets other goroutines see the one in progress: see Options.Watch. Its zero value is ready for use, by one
// loop.
type TurnWatch struct {
	started atomic.Int64 // the turn in progress, on the clock of Loop.Clock; 0: none

	// Owned by the loop.
	longest time.Duration
	turns   Turns
}

// TurnLengths is how many classes of lengths a TurnWatch counts turns in. Turns in class i took at most TurnLength(i), and those in
// the last one took any longer time.
const TurnLengths = 24

// turnLeast is the bound of class 0: 2^turnLeast ns, about a microsecond.
const turnLeast = 10

// TurnLength is the upper bound of a class of lengths.
func TurnLength(class int) time.Duration { return 1 << (class + turnLeast) }

// Turns is how long the turns of a loop took.
type Turns struct {
	Count [TurnLengths]uint64 // by class
	Total time.Duration       // of all of them
}

// Turns returns how long the turns so far took. It is called on the loop.
func (w *TurnWatch) Turns() Turns { return w.turns }

// Started is when the turn in progress has started, on the clock of Loop.Clock, or 0 if the loop waits for events. Any goroutine may
// call it.
func (w *TurnWatch) Started() int64 { return w.started.Load() }

// Longest is how long the longest turn so far took. It is called on the loop.
func (w *TurnWatch) Longest() time.Duration { return w.longest }

func (w *TurnWatch) begin(now int64) { w.started.Store(now) }

func (w *TurnWatch) end(now int64) {
	took := now - w.started.Load()
	w.longest = max(w.longest, time.Duration(took))
	w.turns.Count[lengthClass(took)]++
	w.turns.Total += time.Duration(took)
	w.started.Store(0)
}

// lengthClass is the class of a turn that took ns.
func lengthClass(ns int64) int {
	above := bits.Len64(uint64(max(ns-1, 0))) - turnLeast
	return min(max(above, 0), TurnLengths-1)
}
