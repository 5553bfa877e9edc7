package pool

import "time"

const (
	// flushAfter is how long a worker may hold back output that is worth sending. It is asked again after the same time.
	flushAfter = 50 * time.Millisecond
	// stirEvery is how often a worker at an exchange is rung, whatever its flag says: if another worker has destroyed that
	// flag, it may have missed something.
	stirEvery = time.Second
)

// beginSpan is how long a worker may take from claiming an exchange to beginning it: next to nothing, unless it does not
// get a processor. A variable for tests.
var beginSpan = 5 * time.Second

// watch is what a loop remembers of the worker at an exchange, from one slow tick to the next. Times are those of the loop.
type watch struct {
	counted bool  // in Worker.claims
	claimed int64 // when the worker was first seen to have the exchange; 0: not yet
	began   bool  // the worker was seen at it
	stirred int64 // when it was last rung without need
	flushed int64 // when it was last asked to flush; 0: not yet
}

// start begins to watch, if that has not begun.
func (w *watch) start(now int64) {
	if w.claimed == 0 {
		w.claimed, w.began, w.stirred = now, false, now
	}
}

// lasts is how long the worker has had the exchange, as far as is known.
func (w *watch) lasts(now int64) time.Duration { return time.Duration(now - w.claimed) }

// mayBegin reports whether the worker may still be on its way from the claim to the exchange.
func (w *watch) mayBegin(now int64) bool { return !w.began && w.lasts(now) < beginSpan }

// stir reports whether the worker is to be rung without need.
func (w *watch) stir(now int64) bool {
	if now-w.stirred < int64(stirEvery) {
		return false
	}
	w.stirred = now
	return true
}

// flush reports whether a worker that holds back output is to be asked for it.
func (w *watch) flush(now int64) bool {
	if w.lasts(now) < flushAfter || now-w.flushed < int64(flushAfter) {
		return false
	}
	w.flushed = now
	return true
}
