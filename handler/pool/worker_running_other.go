//go:build !linux

package pool

// runs reports whether the worker computes. This system has no cheap way to find out: workers are woken by time alone.
func (w *Worker) runs(*[64]byte) bool { return true }

func (w *Worker) openStat()  {}
func (w *Worker) closeStat() {}
