// Command gateway stands before an API. It allows each client so many requests a second, sends those to the targets that are
// healthy, and refuses all at once while there is none, instead of letting clients wait for a service that is down.
//
//	go run ./examples/go/gateway -targets 127.0.0.1:9001,127.0.0.1:9002    # then: curl -i http://127.0.0.1:8081/
package main

import (
	"flag"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/ratelimit"
	"moonbridge/handler/upstream"
)

// gateway is a service with its circuit.
type gateway struct {
	set  *upstream.Set
	open atomic.Bool // no target is healthy
}

// to runs on the loops, for each request.
func (g *gateway) to(q *proxy.Request) *upstream.Set {
	if g.open.Load() {
		q.Refuse(503)
	}
	return g.set
}

// watch opens and closes the circuit. The proxy makes the health checks.
func (g *gateway) watch() {
	for range time.Tick(100 * time.Millisecond) {
		up := 0
		for _, s := range g.set.Status() {
			if s.Up {
				up++
			}
		}
		if was := g.open.Swap(up == 0); was != (up == 0) {
			log.Printf("healthy targets: %d", up)
		}
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	addresses := flag.String("targets", "127.0.0.1:9001", "addresses of the API")
	rate := flag.Float64("rate", 10, "requests a second of each client")
	burst := flag.Int("burst", 20, "requests at once of each client")
	flag.Parse()
	var targets []upstream.Target
	for target := range strings.SplitSeq(*addresses, ",") {
		targets = append(targets, upstream.Target{Addr: target, Slots: 100})
	}
	set, err := upstream.New(upstream.Options{
		Active: &upstream.Active{Path: "/health", Every: time.Second, Rise: 1, Fall: 2},
	}, targets...)
	check(err)
	limiter, err := ratelimit.New(ratelimit.Options{Rate: *rate, Burst: *burst, Name: "client"})
	check(err)
	g := &gateway{set: set}
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	check(e.Serve(ln, limiter.Wrap(proxy.New(proxy.Config{To: g.to})), 0, engine.Limits{}))
	log.Printf("http://%s/", ln.Addr())
	g.watch() // until a signal ends the process
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
