// Command luapool serves any script: Lua worker processes serve what it asks for with its listen calls, be it HTTP, raw
// connections, timers or main handlers. A Go handler at another address shows how the pools of workers are doing. It
// needs cgo and LuaJIT's headers, which `make deps` installs. Read example both first: that is for one listener.
//
//	go run ./examples/go/luapool examples/hello.lua    # then: curl http://127.0.0.1:8080/ http://127.0.0.1:8081/
//
// This file starts and ends everything. served.go opens and serves the listeners of the script.
package main

import (
	"context"
	"errors"
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
	"moonbridge/handler/logging"
	"moonbridge/handler/pool"
	_ "moonbridge/handler/worker" // makes the second process of this program the one that forks the workers
)

func main() {
	address := flag.String("go", "127.0.0.1:8081", "address of the Go handler")
	grace := flag.Duration("grace", 10*time.Second, "how long requests in progress may take after a signal")
	flag.Parse()
	if flag.NArg() == 0 {
		log.Fatal("usage: luapool [-go address] [-grace duration] script.lua [argument ...]")
	}
	// Loops log, and must not wait for a slow reader of the log: lines go through a queue, and are lost if it is full.
	logs := logging.NewQueue(os.Stderr, logging.Options{})
	log.SetOutput(logs)
	err := run(*address, *grace, flag.Arg(0), flag.Args()[1:])
	log.SetOutput(os.Stderr)
	logs.Close(time.Second) // writes what is left
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until a signal arrives, or a main handler has ended.
func run(address string, grace time.Duration, script string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	s := &served{engine: e}
	mains := make(chan error, 1)
	// Start runs the script, and calls s.open for each of its listen calls. ctx ends only that; Stop and Kill end the
	// workers.
	host, err := pool.Start(ctx, pool.Config{
		Script: script, Args: args, Loops: e.Loops(), Listen: s.open, MainEnded: mainEnded(mains), Logger: slog.Default(),
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

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-mains:
		log.Print("a main handler has ended")
	}
	stop() // from here on, a signal ends the program at once, and the workers with it
	log.Print("stopping")
	end, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	// Connections end while there are workers to answer them, then the workers, then the loops. The error of e.Drain
	// does not matter: Shutdown tells whether connections are left.
	host.Drain(end) // tells workers to end raw connections; returns at once
	e.Drain(end)
	failure = errors.Join(failure, host.Stop(end), e.Shutdown(end))
	log.Print("stopped")
	return failure
}

// mainEnded returns a function that is called on a loop, and must not block, when a main handler has ended.
func mainEnded(mains chan<- error) func(int, string, bool) {
	return func(_ int, name string, failed bool) {
		var err error
		if failed {
			err = fmt.Errorf("the main handler %q has failed", name)
		}
		select {
		case mains <- err:
		default: // not the first one
		}
	}
}

// serveGo serves a Go handler that shows the state of the pools.
func serveGo(e *engine.Engine, address string, pools []*pool.Pool) error {
	status := func(w *handler.Response, r *handler.Request) {
		w.Set("Content-Type", "text/plain")
		for _, p := range pools {
			st := p.Stats()
			fmt.Fprintf(w, "pool %d: %d idle, %d busy, %d exchanges\n", p.Index(), st.Idle, st.Busy, st.Exchanges)
		}
	}
	// Stats may wait for a lock, so status does not run on a loop.
	ln, err := e.ServeTCP(address, handler.Blocking(handler.Func(status), 100), engine.Limits{})
	if err != nil {
		return err
	}
	log.Printf("go: http://%s/", ln.Addr())
	return nil
}
