package upstream

import (
	"math/rand/v2"
	"time"

	"moonbridge/httpparse"
)

// Balancer chooses a server for each request. RoundRobin, LeastLoad, PeakEWMA and Hash make one.
type Balancer interface {
	// OnLoop makes the part of the balancer that one of the loops uses.
	OnLoop(loop, loops int) LoopBalancer
}

// Observer is implemented by a Balancer that wants to know how long response heads take. Answered is called on all loops.
type Observer interface {
	Answered(v *Server, now int64, took time.Duration)
}

// LoopBalancer is a Balancer on one loop.
type LoopBalancer interface {
	// Key returns what Pick has to know of the request.
	Key(h *httpparse.Head) uint64
	// Pick returns the index of one of c.Servers, of which there are at least two.
	Pick(c *Choice) int
}

// Choice is what a LoopBalancer chooses from.
type Choice struct {
	Now     int64
	Key     uint64
	Servers []*Server // that may get the request
}

// noKey is for balancers that need to know nothing of the request.
type noKey struct{}

func (noKey) Key(*httpparse.Head) uint64 { return 0 }

// two chooses two different servers at random.
func two(r *rand.PCG, n int) (i, j int) {
	x := r.Uint64()
	i = int((x >> 32) * uint64(n) >> 32)
	j = int((x & 0xffffffff) * uint64(n-1) >> 32)
	if j >= i {
		j++
	}
	return i, j
}

// newRandom makes the random numbers of a loop. Tests replace it.
var newRandom = func(int) *rand.PCG { return rand.NewPCG(rand.Uint64(), rand.Uint64()) }
