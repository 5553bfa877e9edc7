package main

import (
	"fmt"
	"log"
	"slices"

	"moonbridge/engine"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/limits"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/proxyproto"
)

// served is what the script has asked for: for each of its listen calls the listeners, in their order. Each call also
// makes a pool, so listeners[n] belong to the n-th pool. A timer or a main handler has no socket; its listener is nil.
type served struct {
	engine    *engine.Engine
	listeners [][]*engine.Listener
}

// carriedOut are the options for the server that serveOne carries out (limits.Of has static_headers). Others, such as
// tls and static, are refused. Options for workers are the workers' business.
var carriedOut = []string{"proxy_protocol", "static_headers"}

// open opens the listeners of a listen call. A call that gets an error makes no pool, and does not count.
func (s *served) open(_ int, spec *listen.Spec) error {
	for _, name := range spec.ServerOptions() {
		if !slices.Contains(carriedOut, name) {
			return fmt.Errorf("luapool does not support the option %s", name)
		}
	}
	opened := make([]*engine.Listener, len(spec.Listeners))
	for i := range spec.Listeners {
		l := &spec.Listeners[i]
		if l.Peerless() {
			continue
		}
		ln, err := s.engine.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		if err != nil {
			closeAll(opened)
			return err
		}
		opened[i] = ln
	}
	s.listeners = append(s.listeners, opened)
	return nil
}

func closeAll(listeners []*engine.Listener) {
	for _, ln := range listeners {
		if ln != nil {
			ln.Close()
		}
	}
}

// serve serves the listeners with their pools.
func (s *served) serve(pools []*pool.Pool) error {
	for n, p := range pools {
		// Serve does this too, but a pool that has only timers is not served.
		if err := s.engine.Attach(p); err != nil {
			return err
		}
		for i, ln := range s.listeners[n] {
			if ln == nil {
				continue
			}
			if err := s.serveOne(ln, p, i); err != nil {
				return err
			}
			log.Printf("lua: %s", ln.Addr())
		}
	}
	return nil
}

// serveOne serves the listener with this index in its listen call. The index tells the workers which handler to run.
func (s *served) serveOne(ln *engine.Listener, p *pool.Pool, index int) error {
	l := &p.Spec().Listeners[index]
	if l.ProxyProtocol {
		ln.SetPreface(proxyproto.New(0)) // the header is trusted: only the proxy may be able to connect
	}
	if l.Raw() {
		return s.engine.ServeSockets(ln, p, index) // the handler gets the connection itself
	}
	// HTTP is set here: it is nil for raw connections, what has no socket, and redirect_https, which open refuses.
	return s.engine.Serve(ln, p, index, limits.Of(l.HTTP))
}
