package upstream

import (
	"cmp"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// PeakEWMA takes two targets at random, and chooses the one with the smaller product of requests in progress and latency, for its
// weight. The latency is that of response heads: a moving average over about decay (0: 10 s), except that a larger value counts at
// once.
func PeakEWMA(decay time.Duration) Balancer {
	return peakEWMA{cmp.Or(max(decay, 0), ewmaDecayDefault)}
}

const ewmaDecayDefault = 10 * time.Second

type peakEWMA struct{ decay time.Duration }

// Answered implements Observer.
func (b peakEWMA) Answered(v *Server, now int64, took time.Duration) {
	v.latency.add(now, float64(took), float64(b.decay))
}

func (b peakEWMA) OnLoop(loop, _ int) LoopBalancer {
	return &faster{decay: float64(b.decay), random: newRandom(loop)}
}

type faster struct {
	noKey
	decay  float64
	random *rand.PCG
}

func (f *faster) Pick(c *Choice) int {
	i, j := two(f.random, len(c.Servers))
	if f.cost(c, j) < f.cost(c, i) {
		return j
	}
	return i
}

func (f *faster) cost(c *Choice, i int) float64 {
	v := c.Servers[i]
	return (v.latency.at(c.Now, f.decay) + 1) * float64(v.active.Load()+1) / float64(v.Share(c.Now))
}

// latency is a moving average. Loops that write it at the same time may lose a value.
type latency struct {
	value atomic.Uint64 // bits of a float64: nanoseconds
	stamp atomic.Int64  // when it was measured
}

// at is the average as time passes. It sinks without new values, so that a target that was slow is tried again.
func (l *latency) at(now int64, decay float64) float64 {
	return math.Float64frombits(l.value.Load()) * l.kept(now, decay)
}

// kept is the part that is left of what was measured last.
func (l *latency) kept(now int64, decay float64) float64 {
	return math.Exp(-float64(max(now-l.stamp.Load(), 0)) / decay)
}

func (l *latency) add(now int64, took, decay float64) {
	old, kept := math.Float64frombits(l.value.Load()), l.kept(now, decay)
	if average := old*kept + took*(1-kept); took < average {
		took = average
	}
	l.value.Store(math.Float64bits(took))
	l.stamp.Store(now)
}
