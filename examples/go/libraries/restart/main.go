// Command restart switches to a new version of its binary without refusing a connection, or cutting off a request that
// takes less than a minute.
//
//  1. SIGUSR2 arrives. The library tableflip starts the binary again, as a child, which gets the listening socket.
//  2. The child serves, and calls Ready. If it has not done so after a minute, it is killed, and the old process goes on.
//  3. The old process accepts no more connections, completes its requests, and ends. Until then, the child refuses SIGUSR2.
//
// The process id changes, so systemd has to be told: see tableflip's Options.PIDFile. To try it, in two terminals:
//
//	cd examples/go/libraries && go build -o /tmp/restart ./restart && /tmp/restart    # the log shows its process id, OLD
//
//	curl http://127.0.0.1:8081/slow & sleep 0.2; kill -USR2 OLD; wait                 # OLD answers
//	curl http://127.0.0.1:8081/                                                       # the new process answers: NEW
//	kill NEW
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

	"github.com/cloudflare/tableflip"

	"moonbridge/engine"
	"moonbridge/handler"
)

// whoAmI may block (see example hello).
func whoAmI(w *handler.Response, r *handler.Request) {
	if string(r.Path()) == "slow" {
		log.Print("a slow request begins")
		time.Sleep(time.Second)
	}
	w.Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}

// upgrade is step 1. It returns when the child is ready, or has failed.
func upgrade(u *tableflip.Upgrader) {
	if err := u.Upgrade(); err != nil {
		log.Print("restart: ", err)
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	signals := make(chan os.Signal, 8) // from here on, signals wait in it
	signal.Notify(signals, syscall.SIGUSR2, syscall.SIGTERM, os.Interrupt)

	upgrader, err := tableflip.New(tableflip.Options{})
	check(err)
	socket, err := upgrader.Listen("tcp", *address) // a new socket, or that of the old process
	check(err)
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Adopt(socket) // the engine owns socket now; tableflip has a duplicate for the child
	check(err)
	// ServeTCP (see example hello) is Open and Serve; here the socket is open already. 0 is a number for handlers that tell
	// listeners apart.
	check(e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 100), 0, engine.Limits{}))
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	check(upgrader.Ready()) // step 2

	go func() {
		for s := range signals {
			if s == syscall.SIGUSR2 {
				go upgrade(upgrader) // it may take a minute, and SIGTERM must work meanwhile
			} else {
				upgrader.Stop()
			}
		}
	}()
	<-upgrader.Exit()                           // closed when a child is ready, or Stop was called
	signal.Reset(syscall.SIGTERM, os.Interrupt) // from here on, these two end this process at once

	// Step 3, also after SIGTERM. Retire stops accepting and waits for requests to end. Idle connections stay open for a second,
	// because a request may be on its way. Shutdown then cuts what is left after the minute. It returns an error if there was
	// anything to cut, so the error of Retire is not needed.
	grace, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e.Retire(grace)
	check(e.Shutdown(grace))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
