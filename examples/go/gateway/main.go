// Command gateway sits in front of an API. It limits how many requests each client (IPv4 address, or /64 of IPv6) may make (429), and
// balances the others among its targets, the servers of the API. A target is healthy if it answers GET /health (see -health) with a status
// from 200 to 399. One that is not gets no requests. While none is healthy, every request is refused at once (503). Health checks begin with
// the first request; until then, all targets count as healthy.
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

// gateway is the targets with a circuit breaker: as long as none is healthy, it lets nothing through.
type gateway struct {
	set  *upstream.Set
	down atomic.Bool // no target is healthy
}

// to says where a request goes. It runs on the engine's event loops, several at a time, and must not block.
func (g *gateway) to(q *proxy.Request) *upstream.Set {
	if g.down.Load() {
		q.Refuse(503) // then the result of to does not matter
		return nil
	}
	return g.set
}

// watch sets down. The proxy makes the health checks, which go on while the gateway is down, and Status has their results.
func (g *gateway) watch() {
	for range time.Tick(100 * time.Millisecond) {
		up, why := 0, ""
		for _, s := range g.set.Status() {
			// Why may also be "failed" or "on trial": requests have failed. That ends with a request that succeeds, and there is none
			// while the gateway is down, so it does not count here.
			if s.Why == "check failed" {
				why += fmt.Sprintf("; %s: %s", s.Target.Addr, s.Why)
				continue
			}
			up++
		}
		if was := g.down.Swap(up == 0); was != (up == 0) {
			log.Printf("healthy targets: %d%s", up, why)
		}
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	addresses := flag.String("targets", "127.0.0.1:9001", "targets: IP addresses with ports, separated by commas")
	health := flag.String("health", "/health", "path of the health checks")
	rate := flag.Float64("rate", 10, "how many requests per second a client may make")
	burst := flag.Int("burst", 20, "how many requests a client may make at once after a pause")
	flag.Parse()
	var targets []upstream.Target
	for target := range strings.SplitSeq(*addresses, ",") {
		// Slots are requests at a time. Others wait for up to 5 s (upstream.Options.QueueTime).
		targets = append(targets, upstream.Target{Addr: strings.TrimSpace(target), Slots: 100})
	}
	set, err := upstream.New(upstream.Options{
		// The first check of a target decides at once. Later, one success makes it healthy, two failures in a row make it unhealthy.
		Active: &upstream.Active{Path: *health, Every: time.Second, Rise: 1, Fall: 2},
		// Otherwise, if fewer than half of the targets are healthy, the others get requests too: for services that cannot do with less.
		Passive: upstream.Passive{Panic: -1},
	}, targets...)
	check(err)
	// Name is in the RateLimit fields of a 429. Options.Key is for other ways to tell clients apart.
	limiter, err := ratelimit.New(ratelimit.Options{Rate: *rate, Burst: *burst, Name: "client"})
	check(err)
	g := &gateway{set: set}
	// Batch asks for the scheduling class SCHED_BATCH (Linux): more throughput under load, slightly later responses.
	e, err := engine.New(engine.Options{Batch: true})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	b := limiter.Wrap(proxy.New(proxy.Config{To: g.to})) // a request passes the limiter first
	// 0 is passed to handlers as Request.Listener; any number will do. Zero Limits are the defaults. Behind another proxy,
	// every client seems to have that proxy's address, unless Limits.TrustedProxies names the proxy.
	check(e.Serve(ln, b, 0, engine.Limits{}))
	log.Printf("http://%s/", ln.Addr())
	g.watch() // until a signal ends the process and cuts its connections. Example hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
