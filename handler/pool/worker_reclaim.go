package pool

import "sync/atomic"

// reclaim is how far the loops have got in taking back the cells of a worker that has ended. Loops and supervisor share it.
type reclaim struct {
	left    atomic.Int32 // loops that have not done so
	done    atomic.Bool  // all have: the slot may be freed
	lost    atomic.Int32 // exchanges that ended with the worker
	retried atomic.Int32 // exchanges that were given to another worker
}

// start is called when the process has ended, with the number of loops.
func (r *reclaim) start(loops int) {
	r.left.Store(int32(loops))
	r.done.Store(loops == 0)
}

// loopDone is called by each loop. It reports whether that was the last one.
func (r *reclaim) loopDone() bool {
	if r.left.Add(-1) > 0 {
		return false
	}
	r.done.Store(true)
	return true
}
