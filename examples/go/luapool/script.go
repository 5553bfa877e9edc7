package main

import (
	"cmp"
	"fmt"
	"log"
	"slices"

	"moonbridge/engine"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/proxyproto"
	"moonbridge/httpparse"
)

// script is what the listen calls of the script have opened.
type script struct {
	engine    *engine.Engine
	listeners []listener
}

type listener struct {
	*engine.Listener
	pool  int // which of the pools serves it: each listen call makes one
	index int // which of the listeners of that call it is
}

// carriedOut are the options for the server that serve passes on to the engine. The workers carry out most of the other options themselves.
// The rest, such as tls, static and routes, is refused, so that nothing is served in another way than the script says.
var carriedOut = []string{"flood_penalty", "proxy_protocol", "static_headers", "trusted_proxies"}

// open opens the listeners of the n-th listen call (from 0). Its error becomes an error in the script, which may handle it and go on, so no
// listener is left open then.
func (s *script) open(n int, spec *listen.Spec) error {
	for _, name := range spec.ServerOptions() {
		if !slices.Contains(carriedOut, name) {
			return fmt.Errorf("luapool does not support the option %s", name)
		}
	}
	var opened []listener
	for i := range spec.Listeners {
		l := &spec.Listeners[i]
		if l.Peerless() {
			continue // a timer or a main handler has no socket
		}
		ln, err := s.engine.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		if err != nil {
			for _, before := range opened {
				before.Close()
			}
			return err
		}
		opened = append(opened, listener{ln, n, i})
	}
	s.listeners = append(s.listeners, opened...)
	return nil
}

// serve serves each listener with its pool.
func (s *script) serve(pools []*pool.Pool) error {
	for _, p := range pools {
		// Serve does this too, but a pool that has only timers is not served.
		if err := s.engine.Attach(p); err != nil {
			return err
		}
	}
	for _, ln := range s.listeners {
		if err := s.serveOne(ln, pools[ln.pool]); err != nil {
			return err
		}
		log.Printf("lua: %s", ln.Addr())
	}
	return nil
}

func (s *script) serveOne(ln listener, p *pool.Pool) error {
	spec := p.Spec()
	l := &spec.Listeners[ln.index]
	if l.ProxyProtocol {
		ln.SetPreface(proxyproto.New(0)) // 0: connections have 5 seconds to send the header
	}
	// The index tells the workers which connect handler of the listen call to run.
	if l.Raw() {
		return s.engine.ServeSockets(ln.Listener, p, ln.index) // the handler gets the connection itself
	}
	lim := limits(l.HTTP)
	lim.NoFloodPenalty = !spec.Options.FloodPenalty
	if proxies := spec.Options.TrustedProxies; len(proxies) > 0 {
		trusted, err := forwarded.New(proxies)
		if err != nil {
			return err
		}
		lim.TrustedProxies = trusted
	}
	return s.engine.Serve(ln.Listener, p, ln.index, lim)
}

// limits returns the limits that the script has passed to http.generate_handler. A timeout that is no limit is 0 there, and negative here.
func limits(o *listen.HTTPOptions) engine.Limits {
	l := engine.Limits{
		HeadBytes:       o.RequestHeaderSizeLimit,
		BodyBytes:       o.RequestBodySizeLimit,
		IdleTimeout:     cmp.Or(o.IdleTimeout, -1),
		HeadTimeout:     cmp.Or(o.RequestHeaderTimeout, -1),
		StallTimeout:    cmp.Or(o.StallTimeout, -1),
		ResponseTimeout: cmp.Or(o.ResponseTimeout, -1),
		DrainTimeout:    cmp.Or(o.DrainTimeout, -1),
		SpoolBody:       !o.StreamBody,
		SpoolOutput:     o.BufferResponse,
		Fields:          o.StaticHeaders,
	}
	if o.StreamBody {
		l.BufferBody = -1 // the handler is called with whatever has arrived
	}
	if o.EncodedBody == listen.EncodedRefuse {
		l.BodyCodings = httpparse.CodingsOf(httpparse.Identity) // others are answered with 415
	}
	return l
}
