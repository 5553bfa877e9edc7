// Command hello serves two Go handlers with Moonbridge's engine: one that runs on the event loops because it never
// blocks, and one that may block.
//
//	go run ./examples/go/hello            # then: curl -i http://127.0.0.1:8081/
//	                                      #       curl -iN http://127.0.0.1:8082/
//
// docs/go.md tells how to get TLS, other limits and an access log.
package main

import (
	"flag"
	"fmt"
	"log"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// hello answers every path. It runs on an event loop, which is one goroutine for many connections: while hello runs,
// all other connections of that loop wait. So it must not sleep, use files or databases, or wait for a lock that is
// held for long. Several loops call it at once. w and r are valid until it returns.
func hello(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	w.WriteString("Hello, world!\n")
}

// slow answers in parts. It may block: if it takes long, another goroutine goes on with the loop, so other connections
// hardly wait.
func slow(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	for i := range 3 {
		fmt.Fprintf(w, "%d: %s /%s\n", i, r.Method(), r.Path()) // Path has no leading slash
		if w.Flush() != nil {
			return // the peer is gone
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func main() {
	fast := flag.String("fast", "127.0.0.1:8081", "address of the handler on the loops")
	blocking := flag.String("blocking", "127.0.0.1:8082", "address of the handler that may block")
	flag.Parse()

	e, err := engine.New(engine.Options{}) // Options and Limits that are not set have defaults
	check(err)
	ln, err := e.ServeTCP(*fast, handler.OnLoop(handler.Func(hello)), engine.Limits{})
	check(err)
	log.Printf("on the loops: http://%s/", ln.Addr())
	// At most 100 requests run at a time, and 1024 wait. More get 503 at once, as do those that have waited for 10 s.
	ln, err = e.ServeTCP(*blocking, handler.Blocking(handler.Func(slow), 100), engine.Limits{})
	check(err)
	log.Printf("may block: http://%s/", ln.Addr())
	// Both serve until SIGINT (Ctrl-C) or SIGTERM. Then requests in progress have 10 seconds to complete.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
