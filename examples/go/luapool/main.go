// Command luapool is a Go program that contains pools of Lua workers: worker processes serve what a script asks for with its listen calls,
// be it HTTP, raw connections, timers or main handlers. A Go handler at an address of its own shows how the pools are doing. It needs cgo
// and LuaJIT's headers, which `make deps` installs. Read example both first, which does the same for a script with one listener.
//
//	go run ./examples/go/luapool examples/hello.lua    # then: curl http://127.0.0.1:8080/ http://127.0.0.1:8081/
//
// This file starts and ends everything. script.go opens and serves the listeners of the script.
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
	_ "moonbridge/handler/worker" // needed: this program is started a second time, as the process that forks the workers
)

func main() {
	address := flag.String("go", "127.0.0.1:8081", "address of the Go handler")
	grace := flag.Duration("grace", 10*time.Second, "how long requests in progress may take after a signal")
	flag.Parse()
	if flag.NArg() == 0 {
		log.Fatal("usage: luapool [-go address] [-grace duration] script.lua [argument ...]")
	}
	if err := run(*address, *grace, flag.Arg(0), flag.Args()[1:]); err != nil {
		log.Fatal(err)
	}
}

// run serves until a signal arrives, or a main handler has ended.
func run(address string, grace time.Duration, file string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logs := logging.NewQueue(os.Stderr, logging.Options{}) // loops log, and must not wait for a slow reader of the log
	defer logs.Close(time.Second)
	logger := slog.New(slog.NewTextHandler(logs, nil))
	e, err := engine.New(engine.Options{Logger: logger})
	if err != nil {
		return err
	}
	s := &script{engine: e}
	mains := make(chan error, 1)
	mainEnded := func(_ int, name string, failed bool) { // is called on a loop and must not block
		var err error
		if failed {
			err = fmt.Errorf("the main handler %q has failed", name)
		}
		select {
		case mains <- err:
		default: // not the first one
		}
	}
	// Start runs the script, and calls s.open for each of its listen calls. ctx ends only that, not the workers: Stop and Kill do.
	host, err := pool.Start(ctx, pool.Config{
		Script: file, Args: args, Loops: e.Loops(), Listen: s.open, MainEnded: mainEnded, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer host.Kill() // does nothing after Stop
	if err := s.serve(host.Pools()); err != nil {
		return err
	}
	if err := serveGo(e, address, host.Pools(), logger); err != nil {
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
	// The order matters: connections end while there are workers to answer them, then the workers end, then the loops.
	host.Drain(end) // returns at once
	e.Drain(end)    // if time runs out here, Shutdown returns that error too
	failure = errors.Join(failure, host.Stop(end), e.Shutdown(end))
	log.Print("stopped")
	return failure
}

// serveGo serves a Go handler that shows the state of the pools.
func serveGo(e *engine.Engine, address string, pools []*pool.Pool, logger *slog.Logger) error {
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
	// Stats takes a lock that the supervisors of the pools hold, too, so status does not run on a loop. The first 0 is the default number of
	// goroutines (256). The second one becomes Request.Listener, which is not used here.
	return e.Serve(ln, handler.Config{Logger: logger}.Blocking(handler.Func(status), 0), 0, engine.Limits{})
}
