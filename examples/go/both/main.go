// Command both serves Lua and Go at one address. A Go handler, which runs on the engine's event loops, answers paths below /go/; the
// worker processes of a Lua script answer all others. It needs cgo and LuaJIT's headers, which `make deps` installs.
//
// What happens:
//
//  1. pool.Start starts this binary again, with an environment variable that makes it the fork server: there the import of package worker takes
//     over, and main is never reached.
//  2. The fork server loads the script. For each listen{} in it, pool.Start calls the function open below, which opens the address that the
//     script names.
//  3. The fork server forks the workers, which run the script's handlers.
//  4. The engine accepts connections in this process. Requests for paths below /go/ get to the function now, all others to the workers.
//
// To try it (this script names port 8080):
//
//	go run ./examples/go/both examples/hello.lua    # then: curl http://127.0.0.1:8080/ http://127.0.0.1:8080/go/time
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/limits"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/route"
	_ "moonbridge/handler/worker" // step 1: makes the second process the fork server
)

// now answers /go/time. It runs on an event loop (see example hello), so it must not block. Path is as the client has sent it, without its
// leading slash; route, below, compares the decoded path.
func now(w *handler.Response, r *handler.Request) {
	if string(r.Path()) != "go/time" {
		w.Error(404)
		return
	}
	w.Set("Content-Type", "text/plain")
	w.WriteString(time.Now().UTC().Format(time.RFC3339) + "\n")
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: both script.lua [argument ...]")
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// run serves until a signal arrives. The script's options for workers, such as max_fork, and limits are honoured; those for the server, such as
// tls and static, are refused.
func run(script string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.New(engine.Options{}) // its loops log, and wait if stderr is slow. Example proxy puts a queue before it
	if err != nil {
		return err
	}
	var ln *engine.Listener
	// pool.Start calls open on this goroutine. n is 0 for the first listen call. A call may name several addresses (spec.Listeners).
	open := func(n int, spec *listen.Spec) (err error) {
		if n > 0 || len(spec.Listeners) != 1 || spec.Listeners[0].HTTP == nil {
			return errors.New("both: the script must have exactly one listener, for HTTP")
		}
		if names := spec.ServerOptions(); len(names) > 0 { // serving a script that asks for TLS without TLS, for example, would be wrong
			return fmt.Errorf("both does not support %s", strings.Join(names, ", "))
		}
		l := &spec.Listeners[0]
		ln, err = e.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		return err
	}
	// A signal while the script is loaded ends the loading. Afterwards ctx means nothing to host: Stop and Kill end it.
	host, err := pool.Start(ctx, pool.Config{Script: script, Args: args, Loops: e.Loops(), Listen: open, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer host.Kill() // for the returns with an error below: after Stop it does nothing
	// Start fails if no listen call has succeeded, and open allows one only: so there is one pool, and ln is set.
	lua := host.Pools()[0]
	b, err := route.New([]route.Rule{{Path: "/go/", To: handler.OnLoop(handler.Func(now))}}, lua)
	if err != nil {
		return err
	}
	// 0 is the index in spec.Listeners, which the workers rely on. The limits of the script hold for /go/ too.
	if err := e.Serve(ln, b, 0, limits.Of(lua.Spec().Listeners[0].HTTP)); err != nil {
		return err
	}
	log.Printf("http://%s/", ln.Addr())

	<-ctx.Done()
	stop() // from here on, a second signal ends the program at once, and the workers with it
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e.Drain(grace)                                 // connections end, while there are workers to answer them. Shutdown returns its error again
	stopped := host.Stop(grace)                    // then the workers
	return errors.Join(stopped, e.Shutdown(grace)) // and then the loops
}
