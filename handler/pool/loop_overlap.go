package pool

import "math"

// Overlap implements backend.Overlapping. While handlers are quick, one worker serves a batch of pipelined requests, and any
// number may come. When some take long, one connection gets at most half of the workers that are not known to be busy. And
// what is left of queue_limit when half of it is used is for connections that have nothing in progress.
func (l *loop) Overlap() int {
	switch {
	case l.closed || l.p.inFlight.Load() > l.p.limit/2:
		return 1
	case l.p.lengthy.Load() == 0:
		return math.MaxInt
	}
	l.refresh()
	free := 0
	for _, w := range l.roster.workers {
		if w.claims.Load() == 0 {
			free++
		}
	}
	return max(1, free/2)
}
