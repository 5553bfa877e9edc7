package pool

import "sync/atomic"

// seqs are the numbers of a pool's workers, which count from 1 in the order of their forks. A number is never used again,
// so it says "all workers of that time" where slots cannot. Loops and supervisor share it.
type seqs struct {
	youngest atomic.Uint64
	oldest   atomic.Uint64 // of the workers that are not reclaimed; youngest + 1 if there are none
	stale    atomic.Uint64 // workers up to this one are to be replaced
}

// next is the number of a new worker.
func (s *seqs) next() uint64 { return s.youngest.Add(1) }

// isStale reports whether a worker is to be replaced.
func (s *seqs) isStale(seq uint64) bool { return seq <= s.stale.Load() }

// allStale has every worker replaced that there is now. It returns false if that is under way.
func (s *seqs) allStale() bool {
	youngest := s.youngest.Load()
	for {
		last := s.stale.Load()
		if last >= youngest {
			return false
		}
		if s.stale.CompareAndSwap(last, youngest) {
			return true
		}
	}
}
