package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
	"moonbridge/handler/cache"
	"moonbridge/handler/channel"
	"moonbridge/handler/files/static"
	"moonbridge/handler/logging"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/ratelimit"
	"moonbridge/handler/route"
	"moonbridge/httpwrite"
)

// generation is one load of the script, with its processes and listeners. A reload creates a new one.
type generation struct {
	s         *server
	number    int // counted from 0
	log       *slog.Logger
	host      host
	pools     []*listen.Spec // what the listen{} calls ask for
	listeners [][]listener   // by pool
	configs   []*tls.Config  // of listeners with TLS

	challenges backend.Backend  // answers authorities; nil: not yet needed
	static     []*static.Static // by pool, while it serves; nil: no files

	rules []channel.Rule // of channels

	rates     []*ratelimit.Limiter     // by pool; nil: none
	connRates []*ratelimit.Connections // likewise
	connOpen  []*ratelimit.Open        // likewise
	routes    [][]route.Rule           // by pool, while it serves
	failed    []*logging.Tally         // by pool: requests that routes have not passed on
	endRoutes context.CancelFunc

	caches      map[int]*cache.Cache // by the number of their handler
	cachesInUse []*cache.Cache

	attached []backend.Backend   // to the engine: the pools in their order, then what stands in front of them
	fronts   [][]backend.Backend // what serves each listener, by pool
}

// listener is a listener of a script: its specification, and its open address (nil for an interval and for main).
type listener struct {
	spec *listen.Listener
	at   *address
	tls  *engine.TLS // nil: none
}

// load starts a generation: it runs the script, opens its listeners and forks workers. The generation does not serve
// yet.
func (s *server) load(ctx context.Context) (g *generation, err error) {
	if err := s.o.readable(); err != nil {
		return nil, err
	}
	g = &generation{s: s, number: s.loaded, log: s.log}
	if g.number > 0 {
		g.log = s.log.With("generation", g.number)
	}
	s.loaded++
	if s.o.static != "" {
		return g.loadDirectory()
	}
	s.files.addScript(g.number, s.dir.abs(s.o.script))
	cfg := pool.Config{
		Script: s.o.script, Args: s.o.args, Version: version,
		Loops:      s.engine.Loops(),
		Logger:     g.log,
		Stdout:     s.stdout,
		Listen:     g.open,
		MainEnded:  s.mainEnded,
		NoPairing:  s.o.noPairing,
		Intervals:  s.intervals,
		Credential: s.credential,
		Env:        append(s.o.privileges.environment(), hideBus()...),
		Files:      s.files.listener(g.number),
		ErrorPages: s.o.dev,
		Generation: g.devNumber(),
		Purge:      s.caches.purge,

		Dictionaries: s.shared,
		Channels:     s.channels,
		WebSockets:   s.websockets,
		Declared:     g.declared,
	}
	switch {
	case s.access != nil:
		cfg.RawAccess = s.access.recordRaw
	case s.o.dev:
		cfg.RawAccess = func(_ int, e *engine.Access, _ int) { s.logRequest(e) }
	}
	s.admin.rawOptions(&cfg)
	s.crashes.options(&cfg)
	g.host, err = pool.Start(ctx, cfg)
	if err != nil {
		g.closeListeners()
		g.detach()
		return nil, err
	}
	return g, nil
}

// open opens the listeners of one listen{} call. Its error becomes the error of that call.
func (g *generation) open(n int, spec *listen.Spec) error {
	var opened []listener
	for i := range spec.Listeners {
		l := listener{spec: &spec.Listeners[i]}
		if l.spec.Network() != "" && !g.s.onlyTests {
			at, err := g.claimAddress(l.spec)
			if err == nil {
				if l.tls, err = g.tlsOf(l.spec); err != nil {
					g.releaseAddress(at)
				}
			}
			if err != nil {
				for _, l := range opened {
					g.releaseAddress(l.at)
				}
				return err
			}
			l.at = at
		}
		opened = append(opened, l)
	}
	g.listeners = append(g.listeners, opened)
	g.pools = append(g.pools, spec)
	return nil
}

func (g *generation) closeListeners() {
	for _, ls := range g.listeners {
		for _, l := range ls {
			g.releaseAddress(l.at)
		}
	}
}

// prepare creates all that serves the listeners. Nothing reaches it yet.
func (g *generation) prepare() error {
	if err := g.loadCertificates(); err != nil {
		return err
	}
	if err := g.openLimits(); err != nil {
		return err
	}
	if err := g.openStatic(); err != nil {
		return err
	}
	if err := g.openRoutes(); err != nil {
		g.closeStatic()
		return err
	}
	if h, ok := g.host.(*pool.Host); ok && g.tested() {
		h.HoldTimers()
	}
	return g.attach()
}

// serve makes the engine serve the listeners with this generation. After that, no new exchange reaches the previous
// one. Addresses that only the previous one used are closed.
func (g *generation) serve() error {
	if err := g.prepareAddresses(); err != nil {
		return err
	}
	if err := g.switchOver(); err != nil {
		return err
	}
	g.useRules()
	if h, ok := g.host.(*pool.Host); ok { // otherwise there is no script
		h.StartTimers()
		g.s.websockets.Use(h)
	}
	g.leaveOthers()
	g.keepCertificates()
	return nil
}

// switchOver switches all listeners to the generation, or none.
func (g *generation) switchOver() error {
	err := g.serveAll()
	if err != nil {
		g.serveAgain()
	}
	return err
}

// attach creates on each loop what serves the listeners. All that can fail is done before the first listener is switched.
func (g *generation) attach() error {
	for _, p := range g.host.Pools() {
		if err := g.attachOne(newOnce(p, g.s.engine.Loops())); err != nil {
			return err
		}
	}
	for n, ls := range g.listeners {
		g.fronts = append(g.fronts, make([]backend.Backend, len(ls)))
		for i, l := range ls {
			if l.spec.Network() == "" {
				continue
			}
			if err := g.attachFront(n, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *generation) attachOne(b backend.Backend) error {
	g.attached = append(g.attached, b)
	return g.s.engine.Attach(b)
}

// attachFront creates what serves the i-th listener of the n-th pool.
func (g *generation) attachFront(n, i int) error {
	front, err := g.frontOf(n, i)
	if err == nil && g.answersChallenges(g.listeners[n][i]) {
		front, err = g.withChallenges(front)
	}
	g.fronts[n][i] = front
	if err != nil || g.isPool(n, front) {
		return err
	}
	return g.attachOne(front)
}

// isPool reports whether b is the n-th pool itself, which is attached already. With --static there are no pools.
func (g *generation) isPool(n int, b backend.Backend) bool {
	return n < len(g.host.Pools()) && b == g.attached[n]
}

func (g *generation) frontOf(n, i int) (backend.Backend, error) {
	spec := g.listeners[n][i].spec
	switch {
	case spec.RedirectHTTPS != 0:
		return redirectTo(spec.RedirectHTTPS), nil
	case g.s.o.static != "":
		return g.static[n].Backend(nil, ""), nil
	case spec.Raw():
		return g.attached[n], nil
	}
	return g.chain(g.attached[n], spec.HTTP, g.front(n))
}

// serveAll switches the listeners to the generation. An error does not keep it from the others; it returns the first.
func (g *generation) serveAll() (first error) {
	for n, ls := range g.listeners {
		for i, l := range ls {
			if l.at == nil {
				continue
			}
			if err := g.serveAt(l.at, n, i); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// serveAgain gives the listeners back to the generation that was serving: some may have been switched before an error.
func (g *generation) serveAgain() {
	g.s.mu.Lock()
	serving := g.s.serving
	g.s.mu.Unlock()
	if serving == nil || serving == g {
		return
	}
	if err := serving.serveAll(); err != nil {
		g.log.Error("listener not given back to the running script", "err", err)
	}
}

// serveAt makes an address serve the i-th listener of the n-th pool.
func (g *generation) serveAt(a *address, n, i int) error {
	spec, b := g.listeners[n][i].spec, g.fronts[n][i]
	a.ln.SetPreface(prefaceOf(spec))
	a.ln.SetTLS(g.listeners[n][i].tls)
	if g.listeners[n][i].tls != nil {
		g.s.tune.Do(func() { g.s.collector = tuneCollector() })
	}
	a.ln.SetConnLimit(g.connLimit(n))
	a.ln.SetOpenLimit(g.openLimit(n))
	switch {
	case g.s.o.static != "", spec.RedirectHTTPS != 0:
		return g.s.engine.Serve(a.ln, b, i, engine.Limits{Account: g.s.admin.account(n), NoFloodPenalty: true}) // no HTTP/2, no handshakes
	case spec.Raw():
		return g.s.engine.ServeSockets(a.ln, b, i)
	}
	return g.s.engine.Serve(a.ln, b, i, g.limits(n, spec))
}

// limits are the limits for the clients of an HTTP listener of the n-th pool.
func (g *generation) limits(n int, spec *listen.Listener) engine.Limits {
	l := g.s.limits(spec.HTTP)
	if o := &g.pools[n].Options; o.HasErrorPages {
		l.ErrorPages = httpwrite.NewErrorPages(o.ErrorPages)
	}
	l.H2C = spec.HTTP2 == listen.HTTP2Always
	l.Account = g.s.admin.account(n)
	l.NoFloodPenalty = !g.pools[n].Options.FloodPenalty
	if t := trustedProxies(&g.pools[n].Options); t != nil {
		l.TrustedProxies = t
	}
	if spec.TLS != nil {
		l.Always = secureFields(spec.TLS)
	}
	return l
}

// prefaceOf is what the connections of a listener start with.
func prefaceOf(spec *listen.Listener) *backend.Preface {
	if spec.ProxyProtocol {
		return proxyproto.New(0)
	}
	return nil
}

// openStatic opens the files that are served without workers, with the rights that the server has now. After an error none is
// open.
func (g *generation) openStatic() error {
	for _, spec := range g.pools {
		files, err := openStatic(spec.Options.Static, g.s.o.dev, g.s.compressor)
		if err != nil {
			g.closeStatic()
			return err
		}
		g.static = append(g.static, files)
	}
	return nil
}

func (g *generation) closeStatic() {
	for _, files := range g.static {
		if files != nil {
			files.Close()
		}
	}
	g.static = nil
}

// detach lets go of what attach and openStatic have created.
func (g *generation) detach() {
	for _, b := range g.attached {
		g.s.engine.Detach(b)
	}
	g.closeStatic()
	g.closeRoutes()
	g.endCaches()
	g.s.tickets.forget(g.configs)
	g.leaveCertificates()
}

// lastRequests is how long a generation still takes the requests of connections that have ended with it. Most have a second to send
// their last one. The others have a request in progress, which may be a stream without an end.
const lastRequests = 5 * time.Second

// end ends a generation that has no more listeners: it lets exchanges complete and workers run finish, until ctx is
// done.
func (g *generation) end(ctx context.Context) error {
	g.host.EndMains()
	last, cancel := context.WithTimeout(ctx, lastRequests)
	g.s.engine.AwaitEnded(last)
	cancel()
	for _, c := range g.cachesInUse {
		c.EndWaits(ctx) // the pools still take what waits
	}
	err := g.host.Stop(ctx)
	g.detach()
	if err != nil {
		return fmt.Errorf("workers were killed: %w", err)
	}
	return nil
}

// announce logs where the server can be reached.
func (g *generation) announce() {
	for n, ls := range g.listeners {
		for _, l := range ls {
			if l.spec.Main() {
				g.log.Info("main", "pool", n, "name", l.spec.Name)
				continue
			}
			if l.at == nil {
				g.log.Info("timer", "pool", n, "name", l.spec.Name, "delay", l.spec.Delay)
				continue
			}
			g.log.Info("listening", "pool", n, "address", urlOf(l), "serves", servedAt(l))
		}
	}
}

// urlOf returns the address of a listener as a URL that can be clicked, if there is one.
func urlOf(l listener) string {
	switch {
	case l.spec.Proto == "local":
		return "unix:" + l.at.ln.Addr()
	case l.spec.Raw() && l.tls != nil:
		return "tls://" + l.at.ln.Addr()
	case l.spec.Raw():
		return "tcp://" + l.at.ln.Addr()
	case l.tls != nil:
		return "https://" + l.at.ln.Addr() + "/"
	}
	return "http://" + l.at.ln.Addr() + "/"
}

// servedAt returns the protocol of a listener, as far as it is known here.
func servedAt(l listener) string {
	if l.spec.Raw() {
		return "raw"
	}
	return "http"
}

// logStats logs the statistics of each pool.
func (g *generation) logStats() {
	spool := g.s.engine.Spool()
	for n, p := range g.host.Pools() {
		st := p.Stats()
		g.log.Info("stats", "pool", n, "connections", g.s.engine.Conns(), "spool", spool.Bytes, "spool_files", spool.Files,
			"booting", st.Booting, "idle", st.Idle, "busy", st.Busy, "draining", st.Draining, "waiting", st.Waiting,
			"exchanges", st.Exchanges, "forks", st.Forks, "deaths", st.Deaths, "retries", st.Retries, "lost", st.Lost,
			"abandoned", st.Abandoned)
	}
	g.logCaches()
}
