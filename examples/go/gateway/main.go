// Command gateway sits in front of the servers of an API. A client (an IPv4 address, or a /64 of IPv6) may make 10 requests
// per second, and 20 at once after a pause. Those above that get 429. The others go to servers that are healthy. While none
// is, they get 503.
//
//	go run ./examples/go/gateway -targets 127.0.0.1:9001,127.0.0.1:9002    # then: curl -i http://127.0.0.1:8081/
package main

import (
	"flag"
	"log"
	"strings"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/ratelimit"
	"moonbridge/handler/upstream"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	targets := flag.String("targets", "127.0.0.1:9001", "the servers: IP addresses with ports, separated by commas")
	rate := flag.Float64("rate", 10, "how many requests per second a client may make")
	flag.Parse()

	servers := upstream.Targets(strings.Split(*targets, ",")...)
	api, err := upstream.New(upstream.Options{
		// Each server is asked for /health every second, where a status from 200 to 399 is a success. One that fails three
		// times, there or with requests of clients, is not healthy until it succeeds again.
		Active: &upstream.Active{Path: "/health", Every: time.Second},
		// Without this, requests would go to all servers while none is healthy.
		OnlyHealthy: true,
	}, servers...)
	check(err)
	limiter, err := ratelimit.New(ratelimit.Options{Rate: *rate, Burst: 20})
	check(err)
	// A request passes the limiter, and then the proxy.
	gateway := limiter.Wrap(proxy.New(proxy.Config{To: proxy.To(api)}))

	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.ServeTCP(*address, gateway, engine.Limits{})
	check(err)
	log.Printf("http://%s/", ln.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Then requests in progress have 10 seconds to complete.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
