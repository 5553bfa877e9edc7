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

// generation is a script as it was loaded once, with its processes and what it listens on. A reload makes a new one.
type generation struct {
	s         *server
	number    int // from 0
	log       *slog.Logger
	host      *pool.Host
	listeners [][]listener // by pool
}

// listener is a listener of a script: what it asked for, and the address that is listened on for it (nil for an interval).
type listener struct {
	spec *listen.Listener
	at   *address
}

// address is what the server listens on. Generations share it: one that asks for what the last one had gets the same
// socket, and no connection is refused in between.
type address struct {
	key  string
	ln   *engine.Listener
	used *generation // the youngest that uses it
	old  *generation // that used it before, until the young one serves
}

// load starts a generation: the script is run, its listeners are opened, and workers are forked. Nothing is served by it
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
		Listen:     g.open,
		NoPairing:  s.o.noPairing,
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

// open opens the listeners of one listen{} call; its error becomes that of the call.
func (g *generation) open(n int, spec *listen.Spec) error {
	var opened []listener
	for i := range spec.Listeners {
		l := listener{spec: &spec.Listeners[i]}
		if l.spec.Network() != "" {
			at, err := g.address(l.spec)
			if err != nil {
				for _, l := range opened {
					g.giveBack(l.at)
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

// address is where a listener listens: one that is open and that this generation does not use yet, or a new one.
func (g *generation) address(spec *listen.Listener) (*address, error) {
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
	if fds := s.inherited.take(spec.Network(), spec.Address()); fds != nil {
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

// giveBack undoes address, for a generation that does not get to serve.
func (g *generation) giveBack(a *address) {
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
			g.giveBack(l.at)
		}
	}
}

// serve has the engine give its listeners to this generation: from then on no exchange reaches the one before it. What
// only that one listened on is closed.
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

// end ends a generation that has no listeners any more: exchanges are completed, workers run finish, until ctx ends.
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

// announce says where the server can be reached.
func (g *generation) announce() {
	for n, ls := range g.listeners {
		for _, l := range ls {
			if l.at == nil {
				g.log.Info("timer", "pool", n, "name", l.spec.Name, "delay", l.spec.Delay)
				continue
			}
			g.log.Info("listening", "pool", n, "address", urlOf(l), "serves", servedAt(l))
		}
	}
}

// urlOf is the address of a listener in a form that can be clicked on, where there is one.
func urlOf(l listener) string {
	switch {
	case l.spec.Proto == "local":
		return "unix:" + l.at.ln.Addr()
	case l.spec.Raw():
		return "tcp://" + l.at.ln.Addr()
	}
	return "http://" + l.at.ln.Addr() + "/"
}

// servedAt is what peers of a listener have to speak, as far as it is known here.
func servedAt(l listener) string {
	if l.spec.Raw() {
		return "raw"
	}
	return "http"
}

// logStats writes the figures of each pool.
func (g *generation) logStats() {
	for n, p := range g.host.Pools() {
		st := p.Stats()
		g.log.Info("stats", "pool", n, "connections", g.s.engine.Conns(),
			"booting", st.Booting, "idle", st.Idle, "busy", st.Busy, "draining", st.Draining, "waiting", st.Waiting,
			"exchanges", st.Exchanges, "forks", st.Forks, "deaths", st.Deaths, "retries", st.Retries, "lost", st.Lost)
	}
}
