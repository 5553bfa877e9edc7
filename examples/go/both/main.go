// Command both serves Lua and Go at one address: Go handlers on the event loops answer paths below /go/, and the worker processes
// of a Lua script answer all others. The address is the one in the script.
//
//	go run ./examples/go/both examples/hello.lua    # then: curl http://127.0.0.1:8080/ http://127.0.0.1:8080/go/time
package main

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/route"
	_ "moonbridge/handler/worker" // needed: starts this program a second time as the fork server, which makes the workers
)

// now is a handler on the loops: it does not block. The path of a request comes without its leading slash.
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

// run serves until a signal ends it. The script must call listen once, with one listener for HTTP. The engine serves it
// with its own default limits, not with those of the script: luapool shows how to apply them.
func run(script string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	var ln *engine.Listener
	open := func(n int, spec *listen.Spec) (err error) {
		if n > 0 || len(spec.Listeners) != 1 || spec.Listeners[0].HTTP == nil {
			return errors.New("both: the script must have exactly one listener, for HTTP")
		}
		l := &spec.Listeners[0]
		ln, err = e.Open(l.Network(), l.Address(), engine.OpenOptions{Mode: l.Mode})
		return err
	}
	host, err := pool.Start(ctx, pool.Config{Script: script, Args: args, Loops: e.Loops(), Listen: open, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer host.Kill() // does nothing after Stop
	b, err := route.New([]route.Rule{{Path: "/go/", To: handler.OnLoop(handler.Func(now))}}, host.Pools()[0])
	if err != nil {
		return err
	}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("http://%s/", ln.Addr())

	<-ctx.Done()
	stop() // a second signal ends the program, and the workers with it
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Connections end first, while there are workers to answer them. An error of e.Drain is that of e.Shutdown too.
	host.Drain(grace)
	e.Drain(grace)
	return errors.Join(host.Stop(grace), e.Shutdown(grace))
}
