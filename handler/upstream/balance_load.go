package upstream

import "math/rand/v2"

// LeastLoad takes two targets at random, and chooses the one with fewer requests in progress for its weight. Unlike a choice among
// all of them it does not send every loop's next request to the same target.
func LeastLoad() Balancer { return leastLoad{} }

type leastLoad struct{}

func (leastLoad) OnLoop(loop, _ int) LoopBalancer { return &lessLoaded{random: newRandom(loop)} }

type lessLoaded struct {
	noKey
	random *rand.PCG
}

func (l *lessLoaded) Pick(c *Choice) int {
	i, j := two(l.random, len(c.Servers))
	v, w := c.Servers[i], c.Servers[j]
	// (active + 1) / share, compared without a division
	if (w.active.Load()+1)*int64(v.Share(c.Now)) < (v.active.Load()+1)*int64(w.Share(c.Now)) {
		return j
	}
	return i
}
