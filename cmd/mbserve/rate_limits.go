package main

import (
	"fmt"
	"net/netip"

	"moonbridge/engine"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/ratelimit"
)

// openLimits makes the limits of the pools. A pool goes on with what the same pool of the last generation has counted: with open connections
// in any case, with others if its limit is the same.
func (g *generation) openLimits() error {
	g.rates, g.connRates = make([]*ratelimit.Limiter, len(g.pools)), make([]*ratelimit.Connections, len(g.pools))
	g.connOpen = make([]*ratelimit.Open, len(g.pools))
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
		var exempt func(netip.Addr) bool
		if t := trustedProxies(o); t != nil {
			exempt = t.Has
		}
		if c.Rate != 0 {
			g.connRates[n], err = ratelimit.NewConnections(ratelimit.ConnOptions{
				Rate: c.Rate, Burst: c.Burst, Exempt: exempt, Table: g.s.connectionsFor(n, c)})
		}
		if c.Open != 0 && err == nil {
			g.connOpen[n], err = ratelimit.NewOpen(ratelimit.OpenOptions{Most: c.Open, Exempt: exempt, Table: g.s.openFor(n)})
		}
		if err != nil {
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
	if old == nil || n >= len(old.connRates) || old.connRates[n] == nil {
		return nil
	}
	if was := old.pools[n].Options.ConnectionLimit; was.Rate != c.Rate || was.Burst != c.Burst {
		return nil
	}
	return old.connRates[n].Table()
}

// openFor returns the open connections that the serving generation has counted; nil: none.
func (s *server) openFor(n int) *ratelimit.OpenTable {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.serving
	if old == nil || n >= len(old.connOpen) || old.connOpen[n] == nil {
		return nil
	}
	return old.connOpen[n].Table()
}

// openLimit is the limit on open connections of the n-th pool, or nil.
func (g *generation) openLimit(n int) engine.OpenLimit {
	if n < len(g.connOpen) && g.connOpen[n] != nil {
		return g.connOpen[n]
	}
	return nil
}

// connLimit is the limit on new connections of the n-th pool, or nil.
func (g *generation) connLimit(n int) engine.ConnLimit {
	if n < len(g.connRates) && g.connRates[n] != nil {
		return g.connRates[n]
	}
	return nil
}
