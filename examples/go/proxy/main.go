// Command proxy is a reverse proxy. Requests for paths below /api/ go to one service, and all others to another one. It sets the field
// X-Gateway in requests (package proxy also sets X-Forwarded-For and the like), and removes the field Server from responses. Services speak HTTP/1.1, here without TLS.
//
// If a server of a service cannot be connected to, another one is tried. If it fails after that, only requests with an idempotent method are
// sent again, once.
//
//	go run ./examples/go/proxy -api 127.0.0.1:9001,127.0.0.1:9002 -web 127.0.0.1:9000    # then: curl http://127.0.0.1:8081/
package main

import (
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

// services are what requests go to. An upstream.Set is the list of servers (targets) of one service. For another service, add a field here, a
// case in the method to, and a flag.
type services struct{ api, web *upstream.Set }

// to chooses the service of a request. Like edit, answer and failed, it runs on the engine's event loops (see example hello), several at a
// time, and must not block.
func (s *services) to(q *proxy.Request) *upstream.Set {
	h := q.Head() // h.Path is a place in the head, and h.Bytes returns the bytes there
	// The path is as the client has sent it, without its leading slash: /%61pi/ goes to web. So do not use it for access control.
	if path := string(h.Bytes(h.Path)); strings.HasPrefix(path, "api/") {
		return s.api
	}
	return s.web
}

// edit changes the request that the service gets. It is called once for each request, after to.
func edit(q *proxy.Request) {
	q.Set("X-Gateway", "the example") // in place of what the client has sent. An error would mean that the name is not allowed
}

// answer changes the response that the client gets. With an error other than proxy.ErrRetry, the client would get 502 instead.
func answer(_ *proxy.Request, p *proxy.Response) error { return p.Drop("Server") }

// failed is called if there is no complete response, but not if the client has gone. It returns the status for the client, if
// no part of a response was sent; 0 is the one that fits the error, such as 502, 503 or 504.
func failed(q *proxy.Request, err error) int {
	// The request line for the service, at most 200 bytes of it, and the address that was tried last.
	log.Printf("%s to %s: %v", logging.Quoted(q.Line(), 200), q.Target(), err)
	return 0
}

// service makes a Set of IP addresses with ports, separated by commas. Requests are balanced among them. A target that fails three times
// within 10 s is left out for a while. If fewer than half are up, all get requests. upstream.Options has this, time limits, health checks and TLS.
func service(addresses string) (*upstream.Set, error) {
	var targets []upstream.Target
	for address := range strings.SplitSeq(addresses, ",") {
		targets = append(targets, upstream.Target{Addr: strings.TrimSpace(address)})
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
	// failed, engine and proxy log on the loops, through package log. They must not wait for a slow reader of the log: lines go through a
	// queue, and are lost when it is full.
	logs := logging.NewQueue(os.Stderr, logging.Options{})
	log.SetOutput(logs)
	defer logs.Close(time.Second)
	defer log.SetOutput(os.Stderr) // runs before Close, so main can still log an error
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
	b := proxy.New(proxy.Config{To: s.to, Edit: edit, Answer: answer, Failed: failed})
	// 0 becomes Request.Listener, which is not used here. Limits of size and time are set in engine.Limits.
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
