// Command restart changes to a new version of its binary without refusing a connection or breaking off a request that
// takes less than a minute.
//
//  1. SIGUSR2 arrives. The library tableflip starts the program's file as a child, which gets the listening socket.
//  2. The child serves, and says so (Ready). If it does not within a minute, it is killed, and the old process goes on.
//  3. The old process accepts no more, finishes its requests, and ends. Until then the child refuses another SIGUSR2.
//
// To try it:
//
//	cd examples/go/libraries && go build -o /tmp/restart ./restart && /tmp/restart
//	curl http://127.0.0.1:8081/slow & sleep 0.2; kill -USR2 PID    # the PID is in the log; this process answers
//	curl http://127.0.0.1:8081/                                    # the new process answers
//	kill PID                                                       # its PID
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
	w.Set("Content-Type", "text/plain")
	if string(r.Path()) == "slow" {
		log.Print("a slow request")
		time.Sleep(time.Second)
	}
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	restarts := make(chan os.Signal, 1)
	signal.Notify(restarts, syscall.SIGUSR2)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)

	upgrader, err := tableflip.New(tableflip.Options{})
	check(err)
	socket, err := upgrader.Listen("tcp", *address) // a new one, or that of the old process
	check(err)
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Adopt(socket) // from here on it is the engine's; a child has a duplicate
	check(err)
	// At most 100 requests at a time. 0 becomes Request.Listener, which is not used here.
	check(e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 100), 0, engine.Limits{}))
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	check(upgrader.Ready()) // step 2

	go func() {
		for range restarts {
			if err := upgrader.Upgrade(); err != nil { // step 1; returns when the child is ready
				log.Print("restart: ", err)
			}
		}
	}()
	context.AfterFunc(ctx, upgrader.Stop) // SIGTERM or an interrupt ends this process, and a child that is not ready
	<-upgrader.Exit()                     // a child is ready, or Stop was called
	stop()                                // from here on, SIGTERM or an interrupt ends this process at once

	// Step 3. Retire ends as Shutdown does, but leaves idle connections open for a second: a request may just be arriving.
	grace, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e.Retire(grace)
	check(e.Shutdown(grace)) // an error if connections are left, which it cuts
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
