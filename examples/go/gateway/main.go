// Command gateway stands before an API. It allows each client so many requests a second, sends those to the targets that are
// healthy, and refuses all at once while there is none, instead of letting clients wait for a service that is down.
//
//	go run ./examples/go/gateway -targets 127.0.0.1:9001,127.0.0.1:9002    # then: curl -i http://127.0.0.1:8081/
package main

import (
	"flag"
	"log"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"
)

// bucketsMax bounds the memory of the limiter. With more clients, all of them start with a full bucket again.
const bucketsMax = 100_000

// limiter allows each client rate requests a second, and burst at once. The loops share it: it is locked for a moment only.
type limiter struct {
	sync.Mutex
	rate, burst float64
	buckets     map[netip.Addr]bucket
}

// bucket is how many requests a client has left, and when that was so.
type bucket struct {
	left float64
	at   time.Time
}

func (l *limiter) allow(client netip.Addr) bool {
	l.Lock()
	defer l.Unlock()
	if len(l.buckets) >= bucketsMax {
		clear(l.buckets)
	}
	b, known := l.buckets[client]
	now := time.Now()
	if b.left += now.Sub(b.at).Seconds() * l.rate; !known || b.left > l.burst {
		b.left = l.burst
	}
	b.at = now
	allowed := b.left >= 1
	if allowed {
		b.left--
	}
	l.buckets[client] = b
	return allowed
}

// gateway is the proxy with its limiter and its service.
type gateway struct {
	limiter
	set  *upstream.Set
	open atomic.Bool // the circuit: no target is healthy
}

// to runs on the loops, for each request.
func (g *gateway) to(q *proxy.Request) *upstream.Set {
	switch {
	case !g.allow(q.Client().Addr()):
		q.Refuse(429)
	case g.open.Load():
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
	burst := flag.Float64("burst", 20, "requests at once of each client")
	flag.Parse()
	var targets []upstream.Target
	for target := range strings.SplitSeq(*addresses, ",") {
		targets = append(targets, upstream.Target{Addr: target, Slots: 100})
	}
	set, err := upstream.New(upstream.Options{
		Active: &upstream.Active{Path: "/health", Every: time.Second, Rise: 1, Fall: 2},
	}, targets...)
	check(err)
	g := &gateway{limiter: limiter{rate: *rate, burst: *burst, buckets: make(map[netip.Addr]bucket)}, set: set}
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	check(e.Serve(ln, proxy.New(proxy.Config{To: g.to}), 0, engine.Limits{}))
	log.Printf("http://%s/", ln.Addr())
	g.watch() // until a signal ends the process
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
