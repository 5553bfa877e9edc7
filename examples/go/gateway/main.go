// Command gateway is placed in front of an API. It limits the rate of each client (429), and passes requests on to healthy targets
// only. A target is healthy if it answers GET /health (see -health) with a status from 200 to 399. While no target is healthy, every
// request is refused immediately (503), instead of waiting for a service that is down.
//
//	go run ./examples/go/gateway -targets 127.0.0.1:9001,127.0.0.1:9002    # then: curl -i http://127.0.0.1:8081/
package main

import (
	"flag"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/ratelimit"
	"moonbridge/handler/upstream"
)

// gateway is a service with its circuit breaker. An open circuit lets no request through.
type gateway struct {
	set  *upstream.Set
	open atomic.Bool // no target is healthy
}

// to runs on the loops, for each request.
func (g *gateway) to(q *proxy.Request) *upstream.Set {
	if g.open.Load() {
		q.Refuse(503)
		return nil
	}
	return g.set
}

// watch opens and closes the circuit. The proxy makes the health checks; Status has their results.
func (g *gateway) watch() {
	for range time.Tick(100 * time.Millisecond) {
		up, why := 0, ""
		for _, s := range g.set.Status() {
			if s.Up {
				up++
			} else {
				why += fmt.Sprintf("; %s: %s", s.Target.Addr, s.Why)
			}
		}
		if was := g.open.Swap(up == 0); was != (up == 0) {
			log.Printf("healthy targets: %d%s", up, why)
		}
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	addresses := flag.String("targets", "127.0.0.1:9001", "targets: IP addresses with ports, separated by commas")
	health := flag.String("health", "/health", "path of the health checks")
	rate := flag.Float64("rate", 10, "how many requests a client may make per second")
	burst := flag.Int("burst", 20, "how many requests a client may make at once")
	flag.Parse()
	var targets []upstream.Target
	for target := range strings.SplitSeq(*addresses, ",") {
		targets = append(targets, upstream.Target{Addr: target, Slots: 100}) // Slots: requests at a time; others wait
	}
	set, err := upstream.New(upstream.Options{
		// One success makes a target healthy, two failures in a row make it unhealthy.
		Active: &upstream.Active{Path: *health, Every: time.Second, Rise: 1, Fall: 2},
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
	g.watch() // until a signal ends the process, with all its connections; hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
