// Command both serves Lua and Go at one address. A Go handler, which runs on the engine's event loops, answers paths below /go/; the
// worker processes of a Lua script answer all others. It needs cgo and LuaJIT's headers, which `make deps` installs.
//
// What happens: pool.Start starts this program a second time (see the import of worker). That process loads the script. When the script calls
// listen, the function open in this process opens the address. Then that process forks the workers. Here, the engine passes requests
// for paths below /go/ to the function now, and all others to the workers.
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
	"moonbridge/handler/logging"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/limits"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/route"
	_ "moonbridge/handler/worker" // needed: this program is started a second time, as the process that forks the workers. main is not called there
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

// run serves until a signal arrives. The script must call listen once, with one HTTP listener. Options for workers, such as max_fork, and limits
// are honoured. Options for the server, such as tls and static, are refused.
func run(script string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Loops log, and must not wait for a slow reader of the log: lines that do not fit into the queue are lost.
	logs := logging.NewQueue(os.Stderr, logging.Options{})
	defer logs.Close(time.Second)
	logger := slog.New(slog.NewTextHandler(logs, nil))
	e, err := engine.New(engine.Options{Logger: logger})
	if err != nil {
		return err
	}
	var ln *engine.Listener
	// pool.Start calls open, on this goroutine, for each listen call of the script. n is the number of calls that have succeeded before.
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
	// ctx ends the loading of the script, but not the workers: Stop and Kill do that.
	host, err := pool.Start(ctx, pool.Config{Script: script, Args: args, Loops: e.Loops(), Listen: open, Logger: logger})
	if err != nil {
		return err
	}
	defer host.Kill() // does nothing after Stop
	// There is a pool for each listen call that has succeeded. If none has, Start fails. So there is one, and ln is set.
	lua := host.Pools()[0]
	golang := handler.Config{Logger: logger}.OnLoop(handler.Func(now)) // a panic of now is logged
	b, err := route.New([]route.Rule{{Path: "/go/", To: golang}}, lua)
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
	// The order matters: connections end while there are workers to answer them, then the workers end, then the loops.
	host.Drain(grace) // workers end connections that they keep without the engine. It returns at once
	e.Drain(grace)    // waits for all other connections. If time runs out, Shutdown returns the same error
	return errors.Join(host.Stop(grace), e.Shutdown(grace))
}
