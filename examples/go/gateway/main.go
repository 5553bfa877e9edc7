// Command gateway sits in front of an API. Each client (an IPv4 address, or a /64 of IPv6) may make 10 requests per
// second (-rate), or 20 at once after a pause (-burst). Those above that get 429. The others are balanced among the
// targets, which are the servers of the API. A target is healthy if GET /health has a status from 200 to 399. While no
// target is healthy, the circuit is open: new requests get 503.
//
//	go run ./examples/go/gateway -targets 127.0.0.1:9001,127.0.0.1:9002    # then: curl -i http://127.0.0.1:8081/
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/ratelimit"
	"moonbridge/handler/upstream"
)

// gateway is the targets, with the circuit.
type gateway struct {
	set  *upstream.Set
	open atomic.Bool // the circuit: no target is healthy, so requests are refused
}

// to says where a request goes. It runs on event loops, and must not block (see example hello).
func (g *gateway) to(q *proxy.Request) *upstream.Set {
	if g.open.Load() {
		q.Refuse(503) // without it, nil would count as a failure
		return nil
	}
	return g.set
}

// watch opens and closes the circuit. Without it, a Set whose targets are all unhealthy would try them all.
func (g *gateway) watch() {
	for range time.Tick(100 * time.Millisecond) {
		healthy := 0
		for _, s := range g.set.Status() {
			if s.Up { // by its checks
				healthy++
			}
		}
		open := healthy == 0
		if g.open.Swap(open) != open { // it has changed
			log.Printf("circuit open: %t, healthy targets: %d", open, healthy)
		}
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	targets := flag.String("targets", "127.0.0.1:9001", "targets: IP addresses with ports, separated by commas")
	health := flag.String("health", "/health", "path of the health checks")
	rate := flag.Float64("rate", 10, "how many requests per second a client may make")
	burst := flag.Int("burst", 20, "how many requests a client may make at once after a pause")
	flag.Parse()
	var list []upstream.Target
	for target := range strings.SplitSeq(*targets, ",") {
		// Slots are requests of a target at a time. Others wait for up to 5 s, then get 503.
		list = append(list, upstream.Target{Addr: strings.TrimSpace(target), Slots: 100})
	}
	set, err := upstream.New(upstream.Options{
		// The first check of a target decides. Then two failures in a row make it unhealthy, and one success healthy again.
		// Checks begin with the first request (until then all targets are healthy), and go on while the circuit is open.
		Active: &upstream.Active{Path: *health, Every: time.Second, Rise: 1, Fall: 2},
		// Fails: failed requests do not count, only checks. Panic: unhealthy targets get nothing while one is healthy; by
		// default they do if fewer than half are.
		Passive: upstream.Passive{Fails: -1, Panic: -1},
	}, list...)
	check(err)
	limiter, err := ratelimit.New(ratelimit.Options{Rate: *rate, Burst: *burst, Name: "client"})
	check(err)
	g := &gateway{set: set}
	go g.watch()
	e, err := engine.New(engine.Options{}) // loops log, and wait if stderr is slow: example proxy has a queue
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	b := limiter.Wrap(proxy.New(proxy.Config{To: g.to})) // a request passes the limiter first
	// 0 becomes Request.Listener, which is not used here. Behind another proxy, all clients have its address, and so
	// one rate, unless engine.Limits.TrustedProxies names it.
	check(e.Serve(ln, b, 0, engine.Limits{}))
	log.Printf("http://%s/", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	stop() // from here on, a second signal ends the program at once
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.Shutdown(grace); err != nil {
		log.Fatal("connections were cut: ", err)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
