package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"moonbridge/handler/backend"
	"moonbridge/handler/files/static"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/logging"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/proxy"
	"moonbridge/handler/ratelimit"
	"moonbridge/handler/route"
	"moonbridge/handler/upstream"
)

// openRoutes makes a proxy for each path of each pool whose requests are passed on. Names are looked up from then on, until
// closeRoutes.
func (g *generation) openRoutes() error {
	var ctx context.Context
	ctx, g.endRoutes = context.WithCancel(context.Background())
	for _, spec := range g.pools {
		rules, err := g.routesOf(ctx, &spec.Options)
		if err != nil {
			g.closeRoutes()
			return err
		}
		g.routes = append(g.routes, rules)
	}
	return nil
}

func (g *generation) closeRoutes() {
	if g.endRoutes != nil {
		g.endRoutes()
	}
	g.routes = nil
}

func (g *generation) routesOf(ctx context.Context, o *listen.Options) (rules []route.Rule, err error) {
	if len(o.Routes) == 0 {
		return nil, nil
	}
	trusted, err := forwarded.New(o.TrustedProxies)
	if err != nil {
		return nil, err
	}
	tally := logging.NewTally(g.log)
	for i := range o.Routes {
		r := &o.Routes[i]
		set, err := g.targetsOf(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("routes: %q: %w", r.Path, err)
		}
		b := proxy.New(proxyConfig(r, set, trusted, tally))
		rules = append(rules, route.Rule{Path: r.Path, To: newOnce(b, g.s.engine.Loops())})
	}
	return rules, nil
}

// targetsOf is the service behind a path. A name that cannot be looked up now may be there later.
func (g *generation) targetsOf(ctx context.Context, r *listen.Route) (*upstream.Set, error) {
	o := upstream.Options{Connect: r.ConnectTimeout, Head: orNone(r.ResponseTimeout), Stall: orNone(r.StallTimeout)}
	if r.Named {
		set, err := upstream.New(o)
		if err == nil {
			if err := set.Follow(ctx, upstream.Target{Addr: r.Targets[0], Slots: r.Slots}, nil, 0); err != nil {
				g.log.Warn("no target for a route yet", "path", r.Path, "err", err)
			}
		}
		return set, err
	}
	var targets []upstream.Target
	for _, addr := range r.Targets {
		targets = append(targets, upstream.Target{Addr: addr, Slots: r.Slots})
	}
	return upstream.New(o, targets...)
}

func proxyConfig(r *listen.Route, set *upstream.Set, trusted *forwarded.Trusted, tally *logging.Tally) proxy.Config {
	c := proxy.Config{
		To:      proxy.To(set),
		Failed:  func(q *proxy.Request, err error) int { tellFailed(tally, r.Path, q, err); return 0 },
		Forward: proxy.Forwarding{Trusted: trusted},
		Retry:   proxy.Retrying{Times: r.Retries},
		Stream:  orNone(r.StreamTimeout),
	}
	if r.HostOfTarget {
		c.Host = proxy.HostTarget
	}
	if r.Retries == 0 {
		c.Retry.Times = -1
	}
	return c
}

// tellFailed counts a request that has got no complete response from its target.
func tellFailed(tally *logging.Tally, path string, q *proxy.Request, err error) {
	cause := err
	for _, known := range []error{proxy.ErrConnect, proxy.ErrConnectTimeout, proxy.ErrClosed, proxy.ErrInvalid, proxy.ErrHeadTimeout,
		proxy.ErrStalled, proxy.ErrTruncated, proxy.ErrNoTarget, proxy.ErrBusy, proxy.ErrUpgrade, proxy.ErrBody, proxy.ErrHead} {
		if errors.Is(err, known) {
			cause = known
			break
		}
	}
	e := logging.Event{Level: slog.LevelWarn, Message: "requests not answered by their target", Cause: cause.Error()}
	tally.Add(e, func() []slog.Attr {
		return []slog.Attr{slog.String("route", path), slog.String("target", q.Target()), slog.String("err", err.Error())}
	})
}

// front is what a pool has besides workers.
type front struct {
	rules []route.Rule
	files *static.Static      // nil: none
	paths []listen.StaticRule // of files
	limit *ratelimit.Limiter  // nil: none
	loops int
}

func (g *generation) front(n int) *front {
	f := &front{rules: g.routes[n], files: g.static[n], paths: g.pools[n].Options.Static, limit: g.rates[n], loops: g.s.engine.Loops()}
	if f.limit != nil {
		f.rules = slices.Clone(f.rules)
		for i := range f.rules {
			f.rules[i].To = f.limit.Wrap(f.rules[i].To)
		}
	}
	return f
}

// before puts routes and files in front of a backend: of all paths that match a request, the longest counts. What there is no file
// for goes to the routes, too, and then to the backend.
func (f *front) before(b backend.Backend, headers string) (_ backend.Backend, err error) {
	if len(f.rules) > 0 {
		if b, err = route.New(f.rules, b); err != nil {
			return nil, fmt.Errorf("routes: %w", err)
		}
	}
	if f.files == nil {
		return b, nil
	}
	b = f.files.Backend(b, headers)
	if len(f.rules) == 0 {
		return b, nil
	}
	files := newOnce(b, f.loops)
	both := slices.DeleteFunc(slices.Clone(f.rules), func(r route.Rule) bool {
		return slices.ContainsFunc(f.paths, func(s listen.StaticRule) bool { return s.Prefix == r.Path })
	})
	for _, s := range f.paths {
		both = append(both, route.Rule{Path: s.Prefix, To: files})
	}
	if b, err = route.New(both, files); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return b, nil
}
