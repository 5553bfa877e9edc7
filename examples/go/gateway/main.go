// Command gateway sits in front of an API. Each client (an IPv4 address, or a /64 of IPv6) may make 10 requests per second (-rate), or 20 at
// once after a pause (-burst). Those above that get 429. The others are balanced among the targets, which are the servers of the API. A target is healthy if GET /health has a
// status from 200 to 399. While no target is healthy, the circuit is open: new requests get 503.
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
	open atomic.Bool // the circuit is open, as in electricity: no target is healthy, and nothing gets through
}

// to says where a request goes. It runs on the engine's event loops (see example hello), several at a
// time, and must not block.
func (g *gateway) to(q *proxy.Request) *upstream.Set {
	if g.open.Load() {
		q.Refuse(503)
		return nil
	}
	return g.set
}

// watch opens and closes the circuit. Without it, a Set of which no target is healthy would send requests to all of them. The
// checks go on while the circuit is open. They begin with the first request; until then, all targets are healthy.
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
		// Slots are requests of a target at a time. Others wait for up to 5 s (upstream.Options.QueueTime).
		list = append(list, upstream.Target{Addr: strings.TrimSpace(target), Slots: 100})
	}
	set, err := upstream.New(upstream.Options{
		// The first check of a target decides at once. Later, one success makes it healthy, two failures in a row make it unhealthy.
		Active: &upstream.Active{Path: *health, Every: time.Second, Rise: 1, Fall: 2},
		// Only the checks decide about health. Fails -1 switches off the counting of failed requests, and Panic -1 the rule that all targets get
		// requests when fewer than half are healthy. When none is healthy, all do: watch prevents that, up to 100 ms late.
		Passive: upstream.Passive{Fails: -1, Panic: -1},
	}, list...)
	check(err)
	limiter, err := ratelimit.New(ratelimit.Options{Rate: *rate, Burst: *burst, Name: "client"}) // the name appears in the head of 429 responses
	check(err)
	g := &gateway{set: set}
	go g.watch()
	e, err := engine.New(engine.Options{}) // it logs on the loops, which wait if stderr is slow. Example proxy puts a queue before it
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	b := limiter.Wrap(proxy.New(proxy.Config{To: g.to})) // a request passes the limiter first
	// 0 becomes Request.Listener, which is not used here. Behind another proxy, every client seems to have that proxy's address, unless
	// engine.Limits.TrustedProxies names the proxy.
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
