package pool

import (
	"context"
	"fmt"
	"time"
)

// AwaitWorkers waits until every pool has a worker that takes exchanges, unless it only forks on demand. It is an error if
// workers of a pool end before that, for example because prepare fails (the log says why), or if ctx ends.
func (h *Host) AwaitWorkers(ctx context.Context) error {
	for _, p := range h.Pools() {
		for {
			ready, failing := p.hasWorker()
			if ready {
				break
			}
			if failing {
				return fmt.Errorf("pool %d: workers end before they are ready", p.index)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("pool %d: no worker is ready: %w", p.index, ctx.Err())
			case <-time.After(pollEvery):
			}
		}
	}
	return nil
}

// hasWorker reports whether the pool has a worker or needs none yet, and whether its last workers ended before they were
// ready.
func (p *Pool) hasWorker() (ready, failing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spec.Options.MinFork == 0 && p.spec.Options.PreFork == 0 {
		return true, false
	}
	for w := range p.workers() {
		if w.state.Serving() {
			return true, false
		}
	}
	return false, p.sv.policy.Failing
}
