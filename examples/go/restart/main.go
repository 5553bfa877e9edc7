// Command restart changes to a new version of its binary without refusing a connection or breaking off a response. SIGUSR2 starts its
// file again, as a child that inherits the listening sockets. Once the child serves, the old process finishes its requests and ends.
//
//	go build ./examples/go/restart && ./restart    # then: curl http://127.0.0.1:8081/
//	kill -USR2 PID                                 # PID is in the log. Now another process answers
//	kill PID                                       # the new PID: it finishes its requests, and ends
//
// This file serves. heir.go starts the new process, and has what that gets from the old one.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	if err := run(*address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGUSR2)

	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	// Without an old process there are no sockets, and Open makes new ones. If their number differs from that of the loops, which
	// happens when a new version has another Options.Loops, one loop accepts for all.
	sockets, ready := inherited()
	ln, err := e.Open("tcp", address, engine.OpenOptions{Inherited: sockets})
	if err != nil {
		return err
	}
	// The first 0 is the default number of goroutines (256). The second one is passed to handlers as Request.Listener; any number will do.
	if err := e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 0), 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	if err := ready(); err != nil {
		log.Print("the old process does not learn that this one serves: ", err) // it has died
	}

	replaced := false
	for !replaced && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-restart:
			if err := startHeir(ctx, ln); err != nil {
				log.Print("restart: ", err) // this process goes on
			} else {
				replaced = true
			}
		}
	}
	stop() // from here on, a signal ends the process at once
	end, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if replaced {
		ln.HandOver() // only the new process accepts connections now. docs/go.md shows how to tell systemd its PID
		e.Retire(end) // an idle connection may send one more request within a second. Shutdown alone would close it
	}
	return e.Shutdown(end)
}

func whoAmI(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	if string(r.Path()) == "slow" {
		log.Print("a slow request")
		time.Sleep(time.Second)
	}
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}
