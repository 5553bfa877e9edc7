package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"moonbridge/engine"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
)

// generation is one load of the script, with its processes and listeners. A reload creates a new one.
type generation struct {
	s         *server
	number    int // counted from 0
	log       *slog.Logger
	host      *pool.Host
	listeners [][]listener // by pool
}

// listener is a listener of a script: its specification, and its open address (nil for an interval and for main).
type listener struct {
	spec *listen.Listener
	at   *address
}

// address is an address that the server listens on. Generations share it: if a new generation asks for the same
// address, it gets the same socket, so that no connection is refused in between.
type address struct {
	key  string
	ln   *engine.Listener
	used *generation // the latest generation that uses it
	old  *generation // the one that used it before, until the latest one serves
}

// load starts a generation: it runs the script, opens its listeners and forks workers. The generation does not serve
// yet.
func (s *server) load(ctx context.Context) (g *generation, err error) {
	if err := readable(s.o.script); err != nil {
		return nil, err
	}
	g = &generation{s: s, number: s.loaded, log: s.log}
	if g.number > 0 {
		g.log = s.log.With("generation", g.number)
	}
	s.loaded++
	g.host, err = pool.Start(ctx, pool.Config{
		Script: s.o.script, Args: s.o.args, Version: version,
		Loops:      s.engine.Loops(),
		Logger:     g.log,
		Stdout:     s.stdout,
		Listen:     g.open,
		MainEnded:  s.mainEnded,
		NoPairing:  s.o.noPairing,
		Intervals:  s.intervals,
		Credential: s.credential,
		Files:      s.files.listener(g.number),
		ErrorPages: s.o.dev,
	})
	if err != nil {
		g.closeListeners()
		return nil, err
	}
	return g, nil
}

// open opens the listeners of one listen{} call. Its error becomes the error of that call.
func (g *generation) open(n int, spec *listen.Spec) error {
	var opened []listener
	for i := range spec.Listeners {
		l := listener{spec: &spec.Listeners[i]}
		if l.spec.Network() != "" {
			at, err := g.claimAddress(l.spec)
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
	return nil
}

// claimAddress returns the address for a listener: an open one that this generation does not use yet, or a new one.
func (g *generation) claimAddress(spec *listen.Listener) (*address, error) {
	s := g.s
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(spec.Network(), spec.Address())
	for _, a := range s.addresses {
		if a.key == k && a.used != g {
			if spec.HasMode {
				if err := os.Chmod(spec.Path, spec.Mode); err != nil {
					return nil, err
				}
			}
			a.old, a.used = a.used, g
			return a, nil
		}
	}
	o := engine.OpenOptions{}
	if spec.HasMode {
		o.Mode = spec.Mode
	}
	if fds := s.inherited.takeSockets(spec.Network(), spec.Address()); fds != nil {
		o.Inherited, o.Foreign = fds, s.inherited.foreign
	}
	ln, err := s.engine.Open(spec.Network(), spec.Address(), o)
	if err != nil {
		return nil, err
	}
	a := &address{key: k, ln: ln, used: g}
	s.addresses = append(s.addresses, a)
	return a, nil
}

// releaseAddress undoes claimAddress, for a generation that will not serve.
func (g *generation) releaseAddress(a *address) {
	if a == nil {
		return
	}
	s := g.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.old != nil {
		a.used, a.old = a.old, nil
		return
	}
	a.ln.Close()
	s.addresses = slices.DeleteFunc(s.addresses, func(b *address) bool { return a == b })
}

func (g *generation) closeListeners() {
	for _, ls := range g.listeners {
		for _, l := range ls {
			g.releaseAddress(l.at)
		}
	}
}

// serve makes the engine serve the listeners with this generation. After that, no new exchange reaches the previous
// one. Addresses that only the previous one used are closed.
func (g *generation) serve() error {
	s := g.s
	for _, p := range g.host.Pools() {
		if err := s.engine.Attach(p); err != nil {
			return err
		}
	}
	for n, p := range g.host.Pools() {
		for i, l := range g.listeners[n] {
			var err error
			switch {
			case l.at == nil:
			case l.spec.Raw():
				err = s.engine.ServeSockets(l.at.ln, p, i)
			default:
				err = s.engine.Serve(l.at.ln, p, i, limitsOf(l.spec.HTTP))
			}
			if err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses = slices.DeleteFunc(s.addresses, func(a *address) bool {
		a.old = nil
		if a.used == g {
			return false
		}
		a.ln.Close()
		return true
	})
	return nil
}

// end ends a generation that has no more listeners: it lets exchanges complete and workers run finish, until ctx is
// done.
func (g *generation) end(ctx context.Context) error {
	err := g.host.Stop(ctx)
	for _, p := range g.host.Pools() {
		g.s.engine.Detach(p)
	}
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
	case l.spec.Raw():
		return "tcp://" + l.at.ln.Addr()
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
	for n, p := range g.host.Pools() {
		st := p.Stats()
		g.log.Info("stats", "pool", n, "connections", g.s.engine.Conns(),
			"booting", st.Booting, "idle", st.Idle, "busy", st.Busy, "draining", st.Draining, "waiting", st.Waiting,
			"exchanges", st.Exchanges, "forks", st.Forks, "deaths", st.Deaths, "retries", st.Retries, "lost", st.Lost,
			"abandoned", st.Abandoned)
	}
}
