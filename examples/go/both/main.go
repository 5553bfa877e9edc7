// Command both serves Lua and Go at one address: the worker processes of a Lua script answer everything but paths below /go/,
// which Go handlers answer on the event loops.
//
//	go run ./examples/go/both examples/hello.lua    # then: curl http://127.0.0.1:8080/ http://127.0.0.1:8080/go/time
package main

import (
	"bytes"
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
	"moonbridge/handler/backend"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
	_ "moonbridge/handler/worker" // lets this program start again as the fork server
	"moonbridge/httpparse"
)

// now is a handler on the loops: it does not block.
func now(w *handler.Response, r *handler.Request) {
	if string(r.Path()) != "go/time" {
		w.Error(404)
		return
	}
	w.Set("Content-Type", "text/plain")
	w.WriteString(time.Now().UTC().Format(time.RFC3339) + "\n")
}

// byPath is a backend that passes requests on to one of two others.
type byPath struct{ goes, lua backend.Backend }

func (b *byPath) Attach(l backend.Loop) (backend.LoopBackend, error) {
	goes, err := b.goes.Attach(l)
	if err != nil {
		return nil, err
	}
	lua, err := b.lua.Attach(l)
	return &byPathLoop{goes, lua}, err
}

// byPathLoop is the part of a byPath on one loop.
type byPathLoop struct{ goes, lua backend.LoopBackend }

func (b *byPathLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if bytes.HasPrefix(h.Bytes(h.Path), []byte("go/")) {
		return b.goes.Start(x, h, listener, body, more)
	}
	return b.lua.Start(x, h, listener, body, more)
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: both script.lua [argument ...]")
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// run serves until a signal ends it. The script calls listen once, with one listener.
func run(script string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	var ln *engine.Listener
	open := func(n int, spec *listen.Spec) (err error) {
		if n > 0 || len(spec.Listeners) != 1 || spec.Listeners[0].Network() == "" {
			return errors.New("both: a script with one listener is needed")
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
	b := &byPath{handler.OnLoop(handler.Func(now)), host.Pools()[0]}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("http://%s/", ln.Addr())

	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	host.Drain(grace)
	e.Drain(grace)
	return errors.Join(host.Stop(grace), e.Shutdown(grace))
}
