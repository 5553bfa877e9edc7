// Command hello serves two Go handlers with Moonbridge's engine: one that runs on the event loops because it never
// blocks, and one that may block.
//
//	go run ./examples/go/hello            # then: curl -i http://127.0.0.1:8081/
//	                                      #       curl -iN http://127.0.0.1:8082/
//
// docs/go.md explains TLS, limits and the access log.
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
// all other connections of that loop wait. So it must not compute for long, sleep, use files or databases, or wait for a
// lock that may be held for long. Several loops may call it at the same time. It must not keep w, r, or the slices that r returns.
func hello(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	w.WriteString("Hello, world!\n")
}

// slow answers in parts. It may block: it may begin on an event loop, too, but if it takes long, another goroutine takes over
// the loop, so other connections are hardly delayed. Like hello, it must not keep w, r, or the slices that r returns.
func slow(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	for i := range 3 {
		fmt.Fprintf(w, "%d: %s /%s\n", i, r.Method(), r.Path()) // Path has no leading slash
		if w.Flush() != nil {
			return // the client is gone
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func main() {
	fast := flag.String("fast", "127.0.0.1:8081", "address of the handler on the loops")
	blocking := flag.String("blocking", "127.0.0.1:8082", "address of the handler that may block")
	flag.Parse()

	e, err := engine.New(engine.Options{}) // options and limits that are not set have defaults
	check(err)
	// ServeTCP listens, and returns. The loops accept connections and speak HTTP.
	ln, err := e.ServeTCP(*fast, handler.OnLoop(handler.Func(hello)), engine.Limits{})
	check(err)
	log.Printf("on the loops: http://%s/", ln.Addr())
	// At most 100 requests run at a time. Up to 1024 more wait (a default). A request that finds no place, or has waited for 10
	// seconds, gets 503.
	ln, err = e.ServeTCP(*blocking, handler.Blocking(handler.Func(slow), 100), engine.Limits{})
	check(err)
	log.Printf("may block: http://%s/", ln.Addr())
	// The program runs until it gets SIGINT (Ctrl-C) or SIGTERM. Then requests in progress have 10 seconds to complete. If some
	// do not, their connections are cut, and that is an error. A second signal ends the program at once.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
