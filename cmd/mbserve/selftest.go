package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"moonbridge/cmd/mbserve/testrun"
	"moonbridge/engine"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// Before a generation serves, it has to pass its tests: the file of --selftest, and the option selftest of each pool. They run in a
// process that its fork server forks (pool.Host.Test). That process asks this one to send requests. They take the way of all others,
// through the loops and shared memory to the generation's workers, but on private listeners, whose connections are pairs of sockets
// of this process: nobody else can connect, and no file or port is needed.
//
// The generation's timers and main handlers do not begin before it serves. Everything else is as in service: what the application
// stores is stored.

const (
	selftestDefault = 30 * time.Second
	selftestMax     = 10 * time.Minute // while the old script serves, and stop and reload wait
)

// tested reports whether there are tests for the generation.
func (g *generation) tested() bool {
	asks := func(spec *listen.Spec) bool { return spec.Options.Selftest }
	return g.s.o.selftest != "" || g.s.onlyTests || slices.ContainsFunc(g.pools, asks)
}

// selftest runs the tests of a generation that is prepared and does not serve yet.
func (g *generation) selftest(ctx context.Context) error {
	if !g.tested() {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, g.s.o.selftestTimeout)
	defer cancel()
	p := newPrivate(g)
	defer p.close()
	passed := 0
	for n, spec := range g.pools {
		if !spec.Options.Selftest {
			continue
		}
		if err := g.runTests(ctx, p, n, "", &passed); err != nil {
			return fmt.Errorf("selftest of pool %d: %w", n, err)
		}
	}
	if file := g.s.o.selftest; file != "" {
		g.s.files.addScript(g.number, g.s.dir.abs(file))
		if err := g.runTests(ctx, p, 0, file, &passed); err != nil {
			return fmt.Errorf("selftest %s: %w", file, err)
		}
	}
	g.log.Info("selftest passed", "tests", passed, "seconds", time.Since(began).Round(time.Millisecond).Seconds())
	return nil
}

// runTests runs one process with tests: those of a file, or the option of the n-th pool.
func (g *generation) runTests(ctx context.Context, p *private, n int, file string, passed *int) error {
	host, ok := g.host.(*pool.Host)
	if !ok {
		return errors.New("there is no script")
	}
	home := n + 1
	if file != "" {
		home = 0
	}
	run := &testrun.Run{Dial: p.dialer(home), IDs: fmt.Sprintf("selftest-%d-%d-", g.number, n)}
	err := run.Finish(host.Test(ctx, pool.Test{Pool: n, File: file, Answer: run.Answer}))
	*passed += run.Counts.Passed
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not finished within %v (--selftest-timeout): %w", g.s.o.selftestTimeout, err)
	}
	return err
}

// testFirst runs the tests of the first generation. There is nothing to fall back on in this process, so a failure ends it; an older
// process that it was to replace serves on.
func (s *server) testFirst() error {
	if !s.serving.tested() {
		return nil
	}
	ctx, release := s.stopOnSignal()
	err := s.serving.selftest(ctx)
	release()
	if ctx.Err() != nil {
		return errStopped
	}
	if err != nil {
		s.log.Error("the script has not passed its tests", "err", err)
	}
	return err
}

// private is the listeners of a generation for its tests.
type private struct {
	g      *generation
	mu     sync.Mutex
	opened map[[2]int]*engine.Listener // by pool and listener, from 0
}

func newPrivate(g *generation) *private {
	return &private{g: g, opened: make(map[[2]int]*engine.Listener)}
}

// close ends the listeners and their connections.
func (p *private) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ln := range p.opened {
		ln.Close()
	}
}

// dialer returns a testrun.Run.Dial. home is the pool that is meant by 0, counted from 1; 0: the first one with an HTTP listener.
func (p *private) dialer(home int) func(pool, listener int, from string) (net.Conn, error) {
	return func(n, i int, from string) (net.Conn, error) {
		n = cmp.Or(n, home)
		n, i, err := p.find(n-1, i-1)
		if err != nil {
			return nil, err
		}
		return p.dial(n, i, from)
	}
}

// find returns the listener that is meant by numbers from 0, of which -1 is any.
func (p *private) find(n, i int) (int, int, error) {
	for at := range p.g.listeners {
		if n >= 0 && n != at {
			continue
		}
		for j, l := range p.g.listeners[at] {
			if i == j && (l.spec.Network() == "" || l.spec.Raw()) {
				return 0, 0, fmt.Errorf("listener %d of pool %d has no requests", i+1, at+1)
			}
			if i == j || i < 0 && l.spec.HTTP != nil && l.spec.RedirectHTTPS == 0 && l.spec.Network() != "" {
				return at, j, nil
			}
		}
	}
	switch {
	case n >= len(p.g.listeners):
		return 0, 0, fmt.Errorf("there is no pool %d: the script has %d", n+1, len(p.g.listeners))
	case i >= 0:
		return 0, 0, fmt.Errorf("there is no listener %d", i+1)
	}
	return 0, 0, errors.New("there is no listener with an HTTP handler")
}

// dial connects with the i-th listener of the n-th pool.
func (p *private) dial(n, i int, from string) (net.Conn, error) {
	ln, err := p.listener(n, i)
	if err != nil {
		return nil, err
	}
	spec := p.g.listeners[n][i].spec
	remote, err := clientAddress(spec, from)
	if err != nil {
		return nil, err
	}
	client, server, err := connPair()
	if err != nil {
		return nil, err
	}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: spec.Port}
	if remote != nil {
		server = &addressed{Conn: server, local: local, remote: remote}
	}
	if err := ln.ServeConn(server); err != nil {
		client.Close()
		server.Close()
		return nil, err
	}
	return client, nil
}

// clientPort is the port of clients in tests.
const clientPort = 50000

// clientAddress is the address of a client. nil: it has none, as on a Unix socket.
func clientAddress(spec *listen.Listener, from string) (net.Addr, error) {
	if from == "" {
		if spec.Network() == "unix" {
			return nil, nil
		}
		from = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(from)
	if err != nil {
		return nil, fmt.Errorf("from: %q is not an IP address", from)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, clientPort)), nil
}

// listener returns the private listener that does what the i-th listener of the n-th pool will do. What it serves is not counted.
func (p *private) listener(n, i int) (*engine.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ln := p.opened[[2]int{n, i}]; ln != nil {
		return ln, nil
	}
	g := p.g
	spec := g.listeners[n][i].spec
	ln, err := g.s.engine.Adopt(newSilent())
	if err != nil {
		return nil, err
	}
	limits := engine.Limits{}
	if spec.HTTP != nil && spec.RedirectHTTPS == 0 {
		limits = g.limits(n, spec)
	}
	limits.Account = nil
	if err := g.s.engine.Serve(ln, g.fronts[n][i], i, limits); err != nil {
		ln.Close()
		return nil, err
	}
	p.opened[[2]int{n, i}] = ln
	return ln, nil
}

// connPair returns the two ends of a connection within this process.
func connPair() (a, b net.Conn, err error) {
	fdA, fdB, err := shm.SocketPair()
	if err != nil {
		return nil, nil, err
	}
	a, err = fileConn(os.NewFile(uintptr(fdA), "test"))
	b, errB := fileConn(os.NewFile(uintptr(fdB), "test"))
	if err = errors.Join(err, errB); err != nil {
		for _, c := range []net.Conn{a, b} {
			if c != nil {
				c.Close()
			}
		}
		return nil, nil, err
	}
	return a, b, nil
}

// addressed is a connection that looks like one from another address.
type addressed struct {
	net.Conn
	local, remote net.Addr
}

func (c *addressed) LocalAddr() net.Addr  { return c.local }
func (c *addressed) RemoteAddr() net.Addr { return c.remote }

// silent is a net.Listener to which nobody connects: its connections come otherwise.
type silent struct {
	once sync.Once
	end  chan struct{}
}

func newSilent() *silent { return &silent{end: make(chan struct{})} }

func (l *silent) Accept() (net.Conn, error) {
	<-l.end
	return nil, net.ErrClosed
}

func (l *silent) Close() error {
	l.once.Do(func() { close(l.end) })
	return nil
}

func (l *silent) Addr() net.Addr { return &net.UnixAddr{Name: "tests", Net: "unix"} }
