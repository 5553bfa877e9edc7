package admin

import "time"

// samplesMax is how many samples are kept: ten minutes of them.
const samplesMax = 600

// History takes a sample each second.
type History struct {
	samples ring[Sample]
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
			h.samples.add(take(now, now.Sub(last)), samplesMax)
			last = now
		}
	}
}

// Samples returns the samples, oldest first.
func (h *History) Samples() []Sample { return h.samples.all() }

// Last returns the last sample.
func (h *History) Last() Sample { return h.samples.last() }

// End ends the taking of samples, and waits for that.
func (h *History) End() {
	close(h.stop)
	<-h.stopped
}
