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
	restarts := make(chan os.Signal, 1)
	signal.Notify(restarts, syscall.SIGUSR2)
	upgrader, err := tableflip.New(tableflip.Options{})
	if err != nil {
		return err
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	socket, err := upgrader.Listen("tcp", address) // a new one, or that of the old process
	if err != nil {
		return err
	}
	ln, err := e.Adopt(socket) // from here on it is the engine's; a child has a duplicate
	if err != nil {
		return err
	}
	// At most 100 requests at a time. 0 becomes Request.Listener, which is not used here.
	if err := e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 100), 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	if err := upgrader.Ready(); err != nil { // tells the old process, if there is one
		return err
	}

	// When ctx ends, be it at SIGTERM, which breaks off an Upgrade in progress, or at the stop below, when nothing is left
	// to be done.
	context.AfterFunc(ctx, upgrader.Stop)
	wait(ctx, restarts, upgrader)
	stop() // from here on, SIGTERM or an interrupt ends the process at once
	end, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// Shutdown alone would close idle connections at once, although a request may just be arriving on one: Retire
	// leaves them open for a second. Its error does not matter: Shutdown tells whether connections are left.
	e.Retire(end)
	if err := e.Shutdown(end); err != nil {
		return fmt.Errorf("connections were cut: %w", err)
	}
	return nil
}

// wait returns when this process is to end: ctx has ended, or a child serves.
func wait(ctx context.Context, restarts <-chan os.Signal, upgrader *tableflip.Upgrader) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-restarts:
			err := upgrader.Upgrade() // returns nil when a child serves
			if err == nil {
				return
			}
			log.Print("restart: ", err) // this process goes on, unless ctx has ended
		}
	}
}

// whoAmI may block.
func whoAmI(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	if string(r.Path()) == "slow" {
		log.Print("a slow request")
		time.Sleep(time.Second)
	}
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}
