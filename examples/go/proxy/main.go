// Command proxy is a reverse proxy. Requests for paths below /api/ go to one service, and all others to a second one. It
// sets the header field X-Gateway in requests, and removes the header field Server from responses.
//
//	python3 -m http.server --bind 127.0.0.1 9000 &
//	go run ./examples/go/proxy -api 127.0.0.1:9001,127.0.0.1:9002 -web 127.0.0.1:9000
//	curl -i http://127.0.0.1:8081/
package main

import (
	"bytes"
	"flag"
	"log"
	"strings"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"
)

// services are where requests go. An upstream.Set has the servers of one service.
type services struct {
	api, web *upstream.Set
}

// choose returns the service for a request. Like edit and answer, it runs on event loops, and must not block (see example
// hello).
func (s *services) choose(req *proxy.Request) *upstream.Set {
	// The path has no leading slash, and is otherwise as it was sent: /%61pi/ goes to web. So do not rely on this for access control.
	if bytes.HasPrefix(req.Path(), []byte("api/")) {
		return s.api
	}
	return s.web
}

// edit changes the request that the service gets. Package proxy itself replaces X-Forwarded-For, -Proto and -Host.
func edit(req *proxy.Request) {
	// Set returns an error only for invalid text, and for fields that the proxy itself controls, such as Content-Length.
	req.Set("X-Gateway", "the example")
}

// answer changes the response that the client gets. An error would make the client get 502.
func answer(_ *proxy.Request, res *proxy.Response) error {
	return res.Drop("Server")
}

// newService returns a service with a list of servers. A server fails if it accepts no connection, or sends no valid
// response. After three failures within 10 seconds it gets no requests for 10 seconds, and longer each time. But if fewer than
// half of the servers would remain, all get requests. A request whose server accepts no connection is sent once more, to
// another server. So is one that gets no response, if its method is idempotent.
func newService(list string) *upstream.Set {
	targets := upstream.Targets(strings.Split(list, ",")...)
	set, err := upstream.New(upstream.Options{}, targets...)
	check(err)
	return set
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	api := flag.String("api", "127.0.0.1:9001", "servers for /api/: IP addresses with ports, separated by commas")
	web := flag.String("web", "127.0.0.1:9000", "servers for everything else, in the same format")
	flag.Parse()

	s := &services{api: newService(*api), web: newService(*web)}
	e, err := engine.New(engine.Options{})
	check(err)
	// The proxy does not log failures. The field Failed of Config is a function that can.
	config := proxy.Config{To: s.choose, Edit: edit, Answer: answer}
	ln, err := e.ServeTCP(*address, proxy.New(config), engine.Limits{})
	check(err)
	log.Printf("http://%s/", ln.Addr())
	check(e.ShutdownOnSignal(10 * time.Second)) // see example hello
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
