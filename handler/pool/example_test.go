package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
)

// A server for a script. The program must import moonbridge/handler/worker for its effect: it is started again as the fork
// server. For an example that can be run see examples/go/luapool.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	e, err := engine.New(engine.Options{})
	if err != nil {
		log.Fatal(err)
	}

	var listeners [][]*engine.Listener // by pool, as the script asks for them
	host, err := pool.Start(ctx, pool.Config{
		Script: "app.lua",
		Loops:  e.Loops(), // must be the engine's
		Logger: slog.Default(),
		Listen: func(n int, spec *listen.Spec) error {
			if names := spec.ServerOptions(); len(names) > 0 { // such as tls: a pool cannot carry them out
				return fmt.Errorf("not supported: %s", strings.Join(names, ", "))
			}
			opened := make([]*engine.Listener, len(spec.Listeners))
			for i := range spec.Listeners {
				l := &spec.Listeners[i]
				if l.Peerless() {
					continue // a timer or a main handler has no socket
				}
				ln, err := e.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
				if err != nil {
					return err // becomes the error of listen{}
				}
				opened[i] = ln
			}
			listeners = append(listeners, opened)
			return nil
		},
	})
	if bad := new(pool.ScriptError); errors.As(err, &bad) {
		log.Fatal("the script: ", bad.Text) // with a traceback
	} else if err != nil {
		log.Fatal(err)
	}

	for n, p := range host.Pools() {
		if err := e.Attach(p); err != nil { // Serve does this too, but a pool that has only timers is not served
			log.Fatal(err)
		}
		for i, ln := range listeners[n] {
			if ln == nil {
				continue
			}
			// The index says which connect function of the script is called.
			if err := e.Serve(ln, p, i, engine.Limits{}); err != nil {
				log.Fatal(err)
			}
		}
	}

	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	host.Drain(grace) // first the connections: those that workers have,
	e.Drain(grace)    // and all others, as long as there are workers to answer them
	host.Stop(grace)  // then the workers
	e.Shutdown(grace)
}

// Check loads a script without serving anything: what it asks for is known then.
func ExampleCheck() {
	specs, err := pool.Check(context.Background(), pool.Config{Script: "app.lua"})
	if err != nil {
		log.Fatal(err)
	}
	for _, spec := range specs {
		for i := range spec.Listeners {
			fmt.Println(&spec.Listeners[i], spec.Options.MinFork, spec.Options.MaxFork)
		}
	}
}

// Stats may be called at any time, from any goroutine except a loop's: it takes a lock for a moment.
func ExamplePool_Stats() {
	report := func(host *pool.Host) {
		for _, p := range host.Pools() {
			s := p.Stats()
			slog.Info("pool", "pool", p.Index(), "idle", s.Idle, "busy", s.Busy, "waiting", s.Waiting, "deaths", s.Deaths)
		}
	}
	host, err := pool.Start(context.Background(), pool.Config{Script: "app.lua"})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Kill()
	report(host)
}
