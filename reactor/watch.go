package reactor

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// TurnWatch lets other goroutines see how long the turns of a loop take: see Options.Watch. Its zero value is ready for use, by one
// loop.
type TurnWatch struct {
	started atomic.Int64 // the turn in progress, on the clock of Loop.Clock; 0: none
	longest atomic.Int64 // ns

	lengths [TurnLengths]atomic.Uint64
	total   atomic.Int64 // ns
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

// Turns returns how long the turns so far took. Any goroutine may call it.
func (w *TurnWatch) Turns() (t Turns) {
	for i := range w.lengths {
		t.Count[i] = w.lengths[i].Load()
	}
	t.Total = time.Duration(w.total.Load())
	return t
}

// Started is when the turn in progress has started, on the clock of Loop.Clock, or 0 if the loop waits for events.
func (w *TurnWatch) Started() int64 { return w.started.Load() }

// Longest is how long the longest turn so far took.
func (w *TurnWatch) Longest() time.Duration { return time.Duration(w.longest.Load()) }

func (w *TurnWatch) begin(now int64) { w.started.Store(now) }

func (w *TurnWatch) end(now int64) {
	took := now - w.started.Load()
	if took > w.longest.Load() {
		w.longest.Store(took)
	}
	w.lengths[lengthClass(took)].Add(1)
	w.total.Add(took)
	w.started.Store(0)
}

// lengthClass is the class of a turn that took ns.
func lengthClass(ns int64) int {
	above := bits.Len64(uint64(max(ns-1, 0))) - turnLeast
	return min(max(above, 0), TurnLengths-1)
}
