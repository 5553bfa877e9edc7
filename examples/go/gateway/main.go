// Command gateway sits in front of the servers of an API. A client may make 10 requests per second, and 20 at once if it
// has made none for two seconds. Requests above that get 429. The others go to the servers that are healthy. While no
// server is healthy, they get 503.
//
// A client is the IPv4 address of a connection, or the /64 network of an IPv6 address. So all clients behind one proxy
// count as one, unless engine.Limits.TrustedProxies names that proxy.
//
//	mkdir /tmp/api; touch /tmp/api/health; python3 -m http.server -d /tmp/api --bind 127.0.0.1 9001 &
//	go run ./examples/go/gateway -servers 127.0.0.1:9001,127.0.0.1:9002
//	curl -i http://127.0.0.1:8081/
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
	servers := flag.String("servers", "127.0.0.1:9001", "IP addresses with ports, separated by commas")
	rate := flag.Float64("rate", 10, "how many requests per second a client may make")
	flag.Parse()

	targets := upstream.Targets(strings.Split(*servers, ",")...)
	api, err := upstream.New(upstream.Options{
		// From the first request on, each server is asked for /health every second. A status from 200 to 399 is a success. The
		// first check decides at once; until then, servers count as healthy. Later, three failures in a row make a server
		// unhealthy, and two successes in a row make it healthy again. Independently of this, a server that gives no valid
		// response to three requests of clients within 10 seconds is left out for 10 seconds, and longer each time.
		Active: &upstream.Active{Path: "/health", Every: time.Second},
		// By default, requests would go to all servers when less than half of them are healthy, in case the checks are wrong.
		OnlyHealthy: true,
	}, targets...)
	check(err)
	limiter, err := ratelimit.New(ratelimit.Options{Rate: *rate, Burst: 20})
	check(err)
	// A request passes the limiter, and then goes to one of the servers of api. Both run on the event loops.
	gateway := limiter.Wrap(proxy.New(proxy.Config{To: proxy.To(api)}))

	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.ServeTCP(*address, gateway, engine.Limits{})
	check(err)
	log.Printf("http://%s/", ln.Addr())
	check(e.ShutdownOnSignal(10 * time.Second)) // see example hello
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
