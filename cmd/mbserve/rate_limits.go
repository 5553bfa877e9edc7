package main

import (
	"fmt"

	"moonbridge/handler/pool/listen"
	"moonbridge/handler/ratelimit"
)

// openLimits makes the rate limits of the pools. A pool goes on with what the same pool of the last generation has counted, if its
// rate is the same.
func (g *generation) openLimits() error {
	g.rates = nil
	for n, spec := range g.pools {
		r := spec.Options.RateLimit
		if r == nil {
			g.rates = append(g.rates, nil)
			continue
		}
		l, err := ratelimit.New(ratelimit.Options{Rate: r.Rate, Burst: r.Burst, Name: r.Key, Table: g.s.countedFor(n, r)})
		if err != nil {
			return fmt.Errorf("rate_limit: %w", err)
		}
		g.rates = append(g.rates, l)
	}
	return nil
}

// countedFor returns what the serving generation has counted for a rate limit; nil: nothing.
func (s *server) countedFor(n int, r *listen.RateLimit) *ratelimit.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.serving
	if old == nil || n >= len(old.rates) || old.rates[n] == nil || *old.pools[n].Options.RateLimit != *r {
		return nil
	}
	return old.rates[n].Table()
}
