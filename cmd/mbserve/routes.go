package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

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

// openRoutes makes a proxy for each path of each pool whose requests are passed on. From then on names are looked
// up, and targets checked, until closeRoutes.
func (g *generation) openRoutes() error {
	var ctx context.Context
	ctx, g.endRoutes = context.WithCancel(context.Background())
	for n, spec := range g.pools {
		tally := logging.NewTally(g.log.With("pool", n))
		rules, err := g.routesOf(ctx, &spec.Options, tally)
		if err != nil {
			g.closeRoutes()
			return err
		}
		g.routes = append(g.routes, rules)
		g.failed = append(g.failed, tally)
	}
	return nil
}

func (g *generation) closeRoutes() {
	if g.endRoutes != nil {
		g.endRoutes()
	}
	g.routes = nil
}

func (g *generation) routesOf(ctx context.Context, o *listen.Options, tally *logging.Tally) (rules []route.Rule, err error) {
	if len(o.Routes) == 0 {
		return nil, nil
	}
	trusted, err := forwarded.New(o.TrustedProxies)
	if err != nil {
		return nil, err
	}
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

// targetsOf is the service behind a path, until ctx is over.
func (g *generation) targetsOf(ctx context.Context, r *listen.Route) (*upstream.Set, error) {
	set, err := g.openTargets(ctx, r)
	if err == nil {
		context.AfterFunc(ctx, set.Close)
	}
	return set, err
}

// openTargets makes a service. A name that cannot be looked up now may be there later.
func (g *generation) openTargets(ctx context.Context, r *listen.Route) (*upstream.Set, error) {
	o := upstream.Options{Connect: r.ConnectTimeout, Head: orNone(r.ResponseTimeout), Stall: orNone(r.StallTimeout)}
	if r.Check != "" {
		o.Active = &upstream.Active{Path: r.Check}
	}
	var err error
	if o.TLS, err = routeTLS(r); err != nil {
		return nil, err
	}
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
	for i, addr := range r.Targets {
		t := upstream.Target{Addr: addr, Slots: r.Slots}
		if len(r.Weights) > 0 {
			t.Weight = r.Weights[i]
		}
		targets = append(targets, t)
	}
	return upstream.New(o, targets...)
}

// routeTLS is the TLS of connections to targets. nil: there is none.
func routeTLS(r *listen.Route) (*tls.Config, error) {
	if !r.TLS {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.ServerName, NextProtos: []string{"http/1.1"}}
	if r.CA == "" {
		return c, nil
	}
	var err error
	if c.RootCAs, _, err = readAuthorities(r.CA); err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return c, nil
}

// checkRoutes checks what --check can see of routes.
func checkRoutes(spec *listen.Spec) error {
	for i := range spec.Options.Routes {
		r := &spec.Options.Routes[i]
		if _, err := routeTLS(r); err != nil {
			return fmt.Errorf("routes: %q: %w", r.Path, err)
		}
	}
	return nil
}

// routeLine is a route for the output of --check.
func routeLine(r *listen.Route) string {
	scheme := "http://"
	if r.TLS {
		scheme = "https://"
	}
	line := r.Path + " →"
	for _, t := range r.Targets {
		if strings.HasPrefix(t, "unix:") {
			line += " " + t
		} else {
			line += " " + scheme + t
		}
	}
	if r.Check != "" {
		line += ", checked by " + r.Check
	}
	return line
}

func proxyConfig(r *listen.Route, set *upstream.Set, trusted *forwarded.Trusted, tally *logging.Tally) proxy.Config {
	c := proxy.Config{
		To:      proxy.To(set),
		Failed:  func(q *proxy.Request, err error) int { tellFailed(tally, r.Path, q, err); return 0 },
		Forward: proxy.Forwarding{Trusted: trusted},
		Retry:   proxy.Retrying{Times: r.Retries},
		Stream:  orNone(r.StreamTimeout),

		ProxyOut: r.ProxyProtocol,
	}
	if r.HostOfTarget {
		c.Host = proxy.HostTarget
	}
	if r.Retries == 0 {
		c.Retry.Times = -1
	}
	if r.StripPrefix {
		c.Edit = func(q *proxy.Request) { stripPrefix(q, r.Path) }
	}
	return c
}

// stripPrefix takes prefix, which ends in a slash, off the path of a request. A path that has it only after its percent-encoding is
// decoded, or its dot segments are removed, is not found: what is left of it could mean something else.
func stripPrefix(q *proxy.Request, prefix string) {
	target := string(q.Head().Bytes(q.Head().Target))
	if i := strings.Index(target, "://"); i > 0 && target[0] != '/' {
		_, rest, _ := strings.Cut(target[i+len("://"):], "/")
		target = "/" + rest
	}
	rest, ok := strings.CutPrefix(target, prefix)
	if !ok || hasDots(rest) || q.SetTarget("/"+rest) != nil {
		q.Refuse(statusNotFound)
	}
}

// hasDots reports whether a path has a segment of dots, which would lead out of what is left of it.
func hasDots(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	for segment := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(path), "%2e", "."), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// errNoTLS is the cause in the log for targets whose TLS handshake fails.
var errNoTLS = errors.New("no TLS connection to the target")

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
	if errors.As(err, new(*backend.HandshakeError)) {
		cause = errNoTLS
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

// orNone is a time limit as the upstream has it: there 0 is the default, and a negative value is none.
func orNone(timeout time.Duration) time.Duration { return cmp.Or(timeout, -1) }
