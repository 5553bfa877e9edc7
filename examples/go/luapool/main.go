// Command luapool is a Go program that contains a pool of Lua workers. A Go handler serves one listener, and worker
// processes serve the listeners of a script's listen{} calls.
//
//	go run ./examples/go/luapool examples/hello.lua   # then: curl http://127.0.0.1:8081/
//	                                                  #       curl http://127.0.0.1:8080/
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/proxyproto"
	_ "moonbridge/handler/worker" // needed: starts this program a second time as the fork server, which makes the workers
)

func main() {
	address := flag.String("go", "127.0.0.1:8081", "address of the Go handler")
	grace := flag.Duration("grace", 10*time.Second, "how long requests in progress may take after a signal")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: luapool [-go address] [-grace duration] script.lua [argument ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*address, *grace, flag.Arg(0), flag.Args()[1:]); err != nil {
		log.Fatal(err)
	}
}

// run serves until a signal stops it.
func run(address string, grace time.Duration, script string, args []string) error {
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	// If anything below fails, cut all connections. After the Shutdown at the end this one does nothing.
	now, cancel := context.WithCancel(context.Background())
	cancel()
	defer e.Shutdown(now)

	s := &scripted{e: e}
	host, err := pool.Start(signalled, pool.Config{
		Script: script,
		Args:   args,
		Loops:  e.Loops(),
		Listen: s.open,
		Logger: slog.Default(),
	})
	if err != nil {
		return err
	}
	defer host.Kill() // does nothing after Stop
	if err := s.serve(host.Pools()); err != nil {
		return err
	}
	if err := serveGo(e, address, host.Pools()); err != nil {
		return err
	}
	log.Print("ready")

	<-signalled.Done()
	stop() // from here on a second signal ends the program, and the workers with it
	log.Print("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	// First end the connections, while there are still workers to answer them; then the workers; then the loops.
	host.Drain(ctx)
	e.Drain(ctx) // an error of Drain is that of Shutdown too
	if err := host.Stop(ctx); err != nil {
		return fmt.Errorf("workers were killed: %w", err)
	}
	if err := e.Shutdown(ctx); err != nil {
		return fmt.Errorf("connections were cut: %w", err)
	}
	log.Print("stopped")
	return nil
}

// serveGo serves the Go handler, which shows the state of the pools.
func serveGo(e *engine.Engine, address string, pools []*pool.Pool) error {
	status := func(w *handler.Response, r *handler.Request) {
		w.Set("Content-Type", "text/plain")
		for _, p := range pools {
			st := p.Stats()
			fmt.Fprintf(w, "pool %d: %d idle, %d busy, %d exchanges\n", p.Index(), st.Idle, st.Busy, st.Exchanges)
		}
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{})
	if err != nil {
		return err
	}
	log.Printf("go: http://%s/", ln.Addr())
	// Not on a loop, since Stats takes a lock for a moment.
	return e.Serve(ln, handler.Blocking(handler.Func(status), 0), 0, engine.Limits{})
}

// scripted holds the listeners of the script, by pool; nil for timers.
type scripted struct {
	e         *engine.Engine
	listeners [][]*engine.Listener
}

// open opens the listeners of one listen{} call. Its error becomes an error in the script, which may handle it, so no
// listener is left open.
func (s *scripted) open(n int, spec *listen.Spec) error {
	opened := make([]*engine.Listener, len(spec.Listeners))
	for i := range spec.Listeners {
		l := &spec.Listeners[i]
		if l.Network() == "" {
			continue // a timer
		}
		ln, err := s.e.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		if err != nil {
			for _, ln := range opened[:i] {
				if ln != nil {
					ln.Close()
				}
			}
			return err
		}
		opened[i] = ln
	}
	s.listeners = append(s.listeners, opened)
	return nil
}

// serve serves each listener with its pool.
func (s *scripted) serve(pools []*pool.Pool) error {
	for n, p := range pools {
		// Needed for a pool that has only timers. Otherwise Serve does it.
		if err := s.e.Attach(p); err != nil {
			return err
		}
		for i, ln := range s.listeners[n] {
			if ln == nil {
				continue
			}
			if p.Spec().Listeners[i].ProxyProtocol {
				ln.SetPreface(proxyproto.New(0))
			}
			// The index tells the worker which connect handler to call.
			var err error
			if l := &p.Spec().Listeners[i]; l.Raw() {
				err = s.e.ServeSockets(ln, p, i)
			} else {
				lim := limits(l.HTTP)
				lim.NoFloodPenalty = !p.Spec().Options.FloodPenalty
				if proxies := p.Spec().Options.TrustedProxies; len(proxies) > 0 {
					if lim.TrustedProxies, err = forwarded.New(proxies); err != nil {
						return err
					}
				}
				err = s.e.Serve(ln, p, i, lim)
			}
			if err != nil {
				return err
			}
			log.Printf("lua: %s", ln.Addr())
		}
	}
	return nil
}

// limits returns the limits that the script has passed to http.generate_handler.
func limits(o *listen.HTTPOptions) engine.Limits {
	l := engine.Limits{
		HeadBytes:       orNone(o.RequestHeaderSizeLimit),
		BodyBytes:       orNone(o.RequestBodySizeLimit),
		IdleTimeout:     orNone(o.IdleTimeout),
		HeadTimeout:     orNone(o.RequestHeaderTimeout),
		StallTimeout:    orNone(o.StallTimeout),
		ResponseTimeout: orNone(o.ResponseTimeout),
		DrainTimeout:    orNone(o.DrainTimeout),
		SpoolBody:       !o.StreamBody,
		SpoolOutput:     o.BufferResponse,
	}
	if o.StreamBody {
		l.BufferBody = -1 // the handler is called with whatever has arrived
	}
	return l
}

// orNone translates "no limit": it is 0 for the pool, and a negative number for the engine.
func orNone[T int64 | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
