// Command proxy is a reverse proxy. Requests for paths below /api/ go to one service, and all others to another one. It
// sets the field X-Gateway in requests, and removes the field Server from responses.
//
//	go run ./examples/go/proxy -api 127.0.0.1:9001,127.0.0.1:9002 -web 127.0.0.1:9000
//	curl http://127.0.0.1:8081/
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/logging"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"
)

// services are what requests go to. An upstream.Set is the servers (targets) of one service.
type services struct{ api, web *upstream.Set }

// to chooses the service of a request. Like edit, answer and failed, it runs on event loops, and must not block (see
// example hello).
func (s *services) to(q *proxy.Request) *upstream.Set {
	h := q.Head()
	// h.Path is only a position in the head; Bytes returns what is there: the path as it was sent, without its leading
	// slash. So /%61pi/ goes to web: this is no access control.
	if bytes.HasPrefix(h.Bytes(h.Path), []byte("api/")) {
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

// failed is called if there is no complete response. It returns the status for the client, if that has got none yet; 0
// is one that fits err.
func failed(q *proxy.Request, err error) int {
	log.Printf("%s: %v", logging.Quoted(q.Line(), 200), err) // 200: bytes of the request line
	return 0
}

// service makes a Set of targets: IP addresses with ports, separated by commas. They speak HTTP/1.1.
func service(addresses string) (*upstream.Set, error) {
	var targets []upstream.Target
	for address := range strings.SplitSeq(addresses, ",") {
		targets = append(targets, upstream.Target{Addr: strings.TrimSpace(address)})
	}
	// A target that fails three times within 10 s is left out for a while, if at least half of the targets work. Options
	// has time limits, health checks, TLS.
	return upstream.New(upstream.Options{}, targets...)
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	api := flag.String("api", "127.0.0.1:9001", "service for /api/: IP addresses with ports, separated by commas")
	web := flag.String("web", "127.0.0.1:9000", "service for everything else, as -api")
	flag.Parse()
	// Loops log, and must not wait for a slow reader of the log: lines go through a queue, and are lost if it is full.
	logs := logging.NewQueue(os.Stderr, logging.Options{})
	log.SetOutput(logs)
	err := run(*address, *api, *web)
	log.SetOutput(os.Stderr)
	logs.Close(time.Second) // writes what is left
	if err != nil {
		log.Fatal(err)
	}
}

func run(address, api, web string) (err error) {
	s := new(services)
	if s.api, err = service(api); err != nil {
		return err
	}
	if s.web, err = service(web); err != nil {
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
	// If a target cannot be connected to, another one is tried. If a target fails after it has got a request, that is
	// sent to another one, at most once, and only if its method is idempotent (Config.Retry).
	b := proxy.New(proxy.Config{To: s.to, Edit: edit, Answer: answer, Failed: failed})
	// 0 becomes Request.Listener, which is not used here.
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		return err
	}
	log.Printf("http://%s/", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	stop() // from here on, a second signal ends the program at once
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.Shutdown(grace); err != nil {
		return fmt.Errorf("connections were cut: %w", err)
	}
	return nil
}
