// Package luahttp serves a Lua script that has one HTTP listener, in a program that has other things to do besides: it answers some
// requests in Go, for example. For other scripts a program deals with [pool.Start] itself, as examples/go/luapool does.
package luahttp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"moonbridge/engine"
	"moonbridge/handler/backend"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/limits"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/proxyproto"
)

// Server is a script that runs.
type Server struct {
	Host     *pool.Host       // has to be stopped before the engine ends: see Start
	Pool     *pool.Pool       // the workers, as a backend: give it to Serve, or put another backend in front of it
	Listener *engine.Listener // where the script wants to listen. No request is taken before Serve

	engine *engine.Engine
}

// ErrListeners is the error of a script that has not exactly one listener, for HTTP.
var ErrListeners = errors.New("luahttp: the script must have exactly one listener, for HTTP")

// Start loads the script and begins to start its workers. The program must import moonbridge/handler/worker for its effect: it is started
// again, as the process that workers are forked from. ctx bounds only the loading. Config.Loops and Config.Listen are set here.
//
// A script with another number of listeners, or with options that Serve does not carry out, such as tls, fails: it would be served in
// another way than it says.
//
// When the program ends, connections come first, then the workers that answer them, then the engine. That is
//
//	err := e.ShutdownOnSignal(grace, s.Host.Stop)
func Start(ctx context.Context, e *engine.Engine, c pool.Config) (*Server, error) {
	s := &Server{engine: e}
	c.Loops = e.Loops()
	c.Listen = func(n int, spec *listen.Spec) (err error) {
		if err := check(n, spec); err != nil {
			return err
		}
		l := &spec.Listeners[0]
		s.Listener, err = e.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		return err
	}
	var err error
	if s.Host, err = pool.Start(ctx, c); err != nil {
		if s.Listener != nil {
			s.Listener.Close()
		}
		return nil, err
	}
	s.Pool = s.Host.Pools()[0] // Start fails without any
	return s, nil
}

// Serve begins to serve the script's listener with b: Pool, or a backend that passes requests on to it. The limits that the script has set
// hold for all requests.
func (s *Server) Serve(b backend.Backend) error {
	l := &s.Pool.Spec().Listeners[0]
	if l.ProxyProtocol {
		s.Listener.SetPreface(proxyproto.New(0)) // the header is trusted: only the proxy may be able to connect
	}
	return s.engine.Serve(s.Listener, b, 0, limits.Of(l.HTTP))
}

// carriedOut are the options for the server that Serve carries out (limits.Of has static_headers). Those for workers are the workers' business.
var carriedOut = []string{"proxy_protocol", "static_headers"}

// check reports why a listen call cannot be served. n counts those that can.
func check(n int, spec *listen.Spec) error {
	if n > 0 || len(spec.Listeners) != 1 || spec.Listeners[0].HTTP == nil && spec.Listeners[0].RedirectHTTPS == 0 {
		return ErrListeners
	}
	names := slices.DeleteFunc(spec.ServerOptions(), func(name string) bool { return slices.Contains(carriedOut, name) })
	if len(names) > 0 {
		return fmt.Errorf("luahttp does not support %s", strings.Join(names, ", "))
	}
	return nil
}
