// Command restart changes to a new version of its binary without refusing a connection or breaking off a request that takes less than a minute.
//
//  1. SIGUSR2 arrives. The library tableflip starts the program's file again, as a child, and passes it the listening sockets.
//  2. The child serves, and says so (Ready). If it does not within a minute, it is killed, and the old process goes on.
//  3. The old process accepts no more, finishes its requests, and ends. Until then another SIGUSR2 is refused.
//
// To try it:
//
//	cd examples/go/libraries && go build -o /tmp/restart ./restart && /tmp/restart    # then: curl http://127.0.0.1:8081/
//	kill -USR2 PID                                 # PID is in the log. Now another process answers
//	kill PID                                       # the new PID: it finishes its requests, and ends
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
	upgrader, err := tableflip.New(tableflip.Options{}) // PIDFile: a file with the number of the process that serves, for systemd
	if err != nil {
		return err
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	ln, err := listen(e, address, upgrader)
	if err != nil {
		return err
	}
	// The first 0 is the default number of goroutines (256). The second one is passed to handlers as Request.Listener; any number will do.
	if err := e.Serve(ln, handler.Blocking(handler.Func(whoAmI), 0), 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("process %d: http://%s/", os.Getpid(), ln.Addr())
	if err := upgrader.Ready(); err != nil {
		return err
	}

	go func() {
		for range restarts {
			if err := upgrader.Upgrade(); err != nil {
				log.Print("restart: ", err) // this process goes on
			}
		}
	}()
	context.AfterFunc(ctx, upgrader.Stop)
	<-upgrader.Exit() // after Upgrade has started a child that serves, or after Stop
	stop()            // from here on, a signal ends the process at once
	end, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ln.HandOver() // before Shutdown, which would end listening in the child, too: both have the same sockets
	e.Retire(end) // an idle connection may send one more request within a second. The error, if any, is also that of Shutdown
	if err := e.Shutdown(end); err != nil {
		return fmt.Errorf("connections were cut: %w", err)
	}
	return nil
}

// listen opens the address, or takes over its sockets from the old process. There are several, one for each event loop (SO_REUSEPORT). If the
// number of loops has changed, one loop accepts for all.
func listen(e *engine.Engine, address string, upgrader *tableflip.Upgrader) (*engine.Listener, error) {
	var sockets []*os.File
	for i := 0; ; i++ {
		socket, err := upgrader.File(fmt.Sprint("socket ", i))
		if err != nil {
			return nil, err
		}
		if socket == nil { // no more; none at all if there is no old process
			break
		}
		defer socket.Close()
		sockets = append(sockets, socket)
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{Files: sockets}) // new ones if sockets is empty
	if err != nil || len(sockets) > 0 {
		return ln, err
	}
	sockets, err = ln.Files() // in the first process only: tableflip hands inherited sockets on by itself
	for i, socket := range sockets {
		if err == nil {
			err = upgrader.AddFile(fmt.Sprint("socket ", i), socket)
		}
		socket.Close()
	}
	return ln, err
}

// whoAmI runs on a goroutine, and may block.
func whoAmI(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	if string(r.Path()) == "slow" {
		log.Print("a slow request")
		time.Sleep(time.Second)
	}
	fmt.Fprintf(w, "process %d\n", os.Getpid())
}
