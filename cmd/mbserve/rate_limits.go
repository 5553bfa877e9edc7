package main

import (
	"fmt"

	"moonbridge/engine"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/ratelimit"
)

// openLimits makes the limits of the pools. A pool goes on with what the same pool of the last generation has counted, if its
// limit is the same.
func (g *generation) openLimits() error {
	g.rates, g.connRates = make([]*ratelimit.Limiter, len(g.pools)), make([]*ratelimit.Connections, len(g.pools))
	for n, spec := range g.pools {
		if err := g.openLimitsOf(n, &spec.Options); err != nil {
			return err
		}
	}
	return nil
}

func (g *generation) openLimitsOf(n int, o *listen.Options) (err error) {
	if r := o.RateLimit; r != nil {
		g.rates[n], err = ratelimit.New(ratelimit.Options{Rate: r.Rate, Burst: r.Burst, Name: r.Key, Table: g.s.countedFor(n, r)})
		if err != nil {
			return fmt.Errorf("rate_limit: %w", err)
		}
	}
	if c := o.ConnectionLimit; c != nil {
		limit := ratelimit.ConnOptions{Rate: c.Rate, Burst: c.Burst, Table: g.s.connectionsFor(n, c)}
		if t := trustedProxies(o); t != nil {
			limit.Exempt = t.Has
		}
		if g.connRates[n], err = ratelimit.NewConnections(limit); err != nil {
			return fmt.Errorf("connection_limit: %w", err)
		}
	}
	return nil
}

// trustedProxies are the proxies of a pool that are trusted; nil: there are none.
func trustedProxies(o *listen.Options) *forwarded.Trusted {
	if len(o.TrustedProxies) == 0 {
		return nil
	}
	t, err := forwarded.New(o.TrustedProxies)
	if err != nil { // they were checked when the script was loaded
		return nil
	}
	return t
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

// connectionsFor is countedFor for a limit on connections.
func (s *server) connectionsFor(n int, c *listen.ConnectionLimit) *ratelimit.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.serving
	if old == nil || n >= len(old.connRates) || old.connRates[n] == nil || *old.pools[n].Options.ConnectionLimit != *c {
		return nil
	}
	return old.connRates[n].Table()
}

// connLimit is the limit on connections of the n-th pool, or nil.
func (g *generation) connLimit(n int) engine.ConnLimit {
	if n < len(g.connRates) && g.connRates[n] != nil {
		return g.connRates[n]
	}
	return nil
}
