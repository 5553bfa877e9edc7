// Command proxy is a reverse proxy. Requests for paths below /api/ go to one service, and all others to another one. It
// sets the field X-Gateway in requests, and removes the field Server from responses.
//
//	go run ./examples/go/proxy -api 127.0.0.1:9001,127.0.0.1:9002 -web 127.0.0.1:9000
//	curl http://127.0.0.1:8081/
package main

import (
	"bytes"
	"flag"
	"log"
	"log/slog"
	"os"
	"strings"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/logging"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"
)

// services are what requests go to. An upstream.Set is the servers of one service.
type services struct {
	api, web *upstream.Set
	log      *slog.Logger
}

// to chooses the service of a request. Like edit, answer and failed, it runs on event loops, and must not block (see
// example hello).
func (s *services) to(q *proxy.Request) *upstream.Set {
	// The path is as it was sent, without its leading slash. So /%61pi/ goes to web: this is no access control.
	if bytes.HasPrefix(q.Path(), []byte("api/")) {
		return s.api
	}
	return s.web
}

// edit changes the request that the service gets. Package proxy adds X-Forwarded-For and the like itself.
func edit(q *proxy.Request) {
	q.Set("X-Gateway", "the example") // in place of what the client has sent; never fails for this name
}

// answer changes the response that the client gets. If it returned an error, that would be 502.
func answer(_ *proxy.Request, p *proxy.Response) error {
	return p.Drop("Server") // never fails for this name
}

// failed is called if there is no complete response. It returns the status for the client; 0 is the one that fits err.
func (s *services) failed(_ *proxy.Request, err error) int {
	s.log.Warn("no response", "err", err)
	return 0
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	api := flag.String("api", "127.0.0.1:9001", "servers for /api/: IP addresses with ports, separated by commas")
	web := flag.String("web", "127.0.0.1:9000", "servers for everything else, as -api")
	flag.Parse()

	// Event loops must not wait for a slow reader of the log: their lines go through a queue, and are lost if it is full.
	queue := logging.NewQueue(os.Stderr, logging.Options{})
	s := &services{log: slog.New(slog.NewTextHandler(queue, nil))}
	// A server that fails several times is left out for a while. A request that it has failed goes to another one, if its
	// method is idempotent.
	var err error
	s.api, err = upstream.New(upstream.Options{}, upstream.Targets(strings.Split(*api, ",")...)...)
	check(err)
	s.web, err = upstream.New(upstream.Options{}, upstream.Targets(strings.Split(*web, ",")...)...)
	check(err)

	e, err := engine.New(engine.Options{Logger: s.log})
	check(err)
	b := proxy.New(proxy.Config{To: s.to, Edit: edit, Answer: answer, Failed: s.failed, Logger: s.log})
	ln, err := e.ServeTCP(*address, b, engine.Limits{})
	check(err)
	log.Printf("http://%s/", ln.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Then requests in progress have 10 seconds to complete.
	err = e.ShutdownOnSignal(10 * time.Second)
	queue.Close(time.Second) // writes what is left
	check(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
