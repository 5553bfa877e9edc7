package admin

import (
	"slices"
	"sync"
	"time"
)

// samplesMax is how many samples are kept: ten minutes of them.
const samplesMax = 600

// History takes a sample each second.
type History struct {
	mu      sync.Mutex
	samples []Sample
	stop    chan struct{}
	stopped chan struct{}
}

// NewHistory begins to take samples. take is called once a second, with the time since the last call.
func NewHistory(take func(now time.Time, span time.Duration) Sample) *History {
	h := &History{stop: make(chan struct{}), stopped: make(chan struct{})}
	go h.run(take)
	return h
}

func (h *History) run(take func(time.Time, time.Duration) Sample) {
	defer close(h.stopped)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-h.stop:
			return
		case <-tick.C:
			now := time.Now()
			h.add(take(now, now.Sub(last)))
			last = now
		}
	}
}

func (h *History) add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == samplesMax {
		h.samples = slices.Delete(h.samples, 0, 1)
	}
	h.samples = append(h.samples, s)
}

// Samples returns the samples, oldest first.
func (h *History) Samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.samples)
}

// Last returns the last sample.
func (h *History) Last() (s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.samples); n > 0 {
		s = h.samples[n-1]
	}
	return s
}

// End ends the taking of samples, and waits for that.
func (h *History) End() {
	close(h.stop)
	<-h.stopped
}
