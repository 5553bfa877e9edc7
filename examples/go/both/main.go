// Command both serves Lua and Go at one address. A Go handler answers paths below /go/; the worker processes of a Lua
// script answer all others. It needs cgo and LuaJIT's headers, which `make deps` installs. There are three kinds of
// processes: this one (engine, Go), the fork server (it has loaded the script), and workers (they run its handlers).
//
//  1. pool.Start starts this binary again, as the fork server. There package worker takes over before main.
//  2. The fork server loads the script. For each listen{} in it (the Lua call that names an address and its handler:
//     see examples/hello.lua), pool.Start calls the function open below.
//  3. The fork server forks the workers, which run the script's handlers.
//  4. The engine accepts connections in this process.
//
// To try it:
//
//	go run ./examples/go/both examples/hello.lua
//	curl http://127.0.0.1:8080/ http://127.0.0.1:8080/go/time
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
	_ "moonbridge/handler/worker" // makes the second process the fork server
)

// now answers /go/time. It runs on an event loop (see example hello), so it must not block.
func now(w *handler.Response, r *handler.Request) {
	if string(r.Path()) != "go/time" { // Path has no leading slash
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

// run serves until a signal arrives.
func run(script string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.New(engine.Options{}) // loops log, and wait if stderr is slow: example proxy has a queue
	if err != nil {
		return err
	}
	var ln *engine.Listener // open sets it
	// Step 2. n is the number of the listen call, from 0. A call may name several addresses (spec.Listeners).
	open := func(n int, spec *listen.Spec) (err error) {
		if n > 0 || len(spec.Listeners) != 1 || spec.Listeners[0].HTTP == nil {
			return errors.New("both: the script must have exactly one listener, for HTTP")
		}
		if names := spec.ServerOptions(); len(names) > 0 { // such as tls and static: the pool does not carry them out
			return fmt.Errorf("both does not support %s", strings.Join(names, ", "))
		}
		l := &spec.Listeners[0]
		ln, err = e.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		return err
	}
	// Steps 1 to 3. ctx ends only the loading of the script; Stop and Kill end the workers.
	config := pool.Config{Script: script, Args: args, Loops: e.Loops(), Listen: open, Logger: slog.Default()}
	host, err := pool.Start(ctx, config)
	if err != nil {
		return err
	}
	defer host.Kill()      // does nothing after Stop
	lua := host.Pools()[0] // the only one: open allows one listen call, and Start fails without any
	b, err := route.New([]route.Rule{{Path: "/go/", To: handler.OnLoop(handler.Func(now))}}, lua)
	if err != nil {
		return err
	}
	// Step 4. The 0 matters here: it tells workers which listener of the listen call this is. The script's limits hold
	// for /go/ too.
	if err := e.Serve(ln, b, 0, limits.Of(lua.Spec().Listeners[0].HTTP)); err != nil {
		return err
	}
	log.Printf("http://%s/", ln.Addr())

	<-ctx.Done()
	stop() // from here on, a second signal ends the program at once, and the workers with it
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// In this order: Drain lets requests end while there are workers to answer them, Stop ends the workers, and Shutdown
	// resets the connections that are left (and tells of them), and ends the loops. (With connections that are not HTTP,
	// host.Drain would come first.)
	e.Drain(grace)
	stopped := host.Stop(grace)
	return errors.Join(stopped, e.Shutdown(grace))
}
