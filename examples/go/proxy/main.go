// Command proxy is a reverse proxy. Requests for paths below /api/ go to one service, without that prefix, and all others to another
// one. It adds the field X-Served-By to requests, and removes the field Server from responses. Services speak HTTP without TLS.
//
//	go run ./examples/go/proxy -api 127.0.0.1:9001,127.0.0.1:9002 -web 127.0.0.1:9000    # then: curl http://127.0.0.1:8081/
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"
)

const apiPrefix = "api/" // paths come without their leading slash

// services are those that the proxy passes requests on to.
type services struct{ api, web *upstream.Set }

// to chooses the service of a request. All functions of a proxy run on the event loops, so they must not block.
func (s *services) to(q *proxy.Request) *upstream.Set {
	if isAPI(q) {
		return s.api
	}
	return s.web
}

func isAPI(q *proxy.Request) bool {
	h := q.Head()
	return strings.HasPrefix(string(h.Bytes(h.Path)), apiPrefix)
}

// edit changes the request that the service gets. The query comes with its question mark.
func edit(q *proxy.Request) {
	q.Set("X-Served-By", "the example")
	if h := q.Head(); isAPI(q) {
		q.SetTarget("/" + string(h.Bytes(h.Path)[len(apiPrefix):]) + string(h.Bytes(h.Query)))
	}
}

// answer changes the response that the client gets.
func answer(_ *proxy.Request, p *proxy.Response) error { return p.Drop("Server") }

// failed is called if there is no response. 0 stands for the status that belongs to the error: 502, 503 or 504. Logging here
// assumes that the log does not block: a busy program puts a queue before it (package logging).
func failed(q *proxy.Request, err error) int {
	log.Printf("%q to %s: %v", q.Line(), q.Target(), err)
	return 0
}

// set makes a service of IP addresses with ports, separated by commas. Requests are balanced among them; addresses that fail are
// left out for a while.
func set(addresses string) (*upstream.Set, error) {
	var targets []upstream.Target
	for address := range strings.SplitSeq(addresses, ",") {
		targets = append(targets, upstream.Target{Addr: address})
	}
	return upstream.New(upstream.Options{}, targets...)
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	api := flag.String("api", "127.0.0.1:9001", "service for /api/: IP addresses with ports, separated by commas")
	web := flag.String("web", "127.0.0.1:9000", "service for everything else, as -api")
	flag.Parse()
	if err := run(*address, *api, *web); err != nil {
		log.Fatal(err)
	}
}

func run(address, api, web string) (err error) {
	s := new(services)
	if s.api, err = set(api); err != nil {
		return err
	}
	if s.web, err = set(web); err != nil {
		return err
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{})
	if err != nil {
		return err
	}
	b := proxy.New(proxy.Config{To: s.to, Edit: edit, Answer: answer, Failed: failed})
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("http://%s/", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	stop() // a second signal ends the program at once
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return e.Shutdown(grace)
}
