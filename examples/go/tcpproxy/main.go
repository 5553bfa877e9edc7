// Command tcpproxy passes TCP connections on, without knowing what is spoken on them. It tells the targets who the clients are, in
// a header of the PROXY protocol, and can get such a header from a proxy in front of it.
//
//	go run ./examples/go/tcpproxy -targets 127.0.0.1:9001,127.0.0.1:9002    # listens at 127.0.0.1:8081
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
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	addresses := flag.String("targets", "127.0.0.1:9001", "where connections go")
	in := flag.Bool("in", false, "require a header of the PROXY protocol from clients, which are proxies then")
	out := flag.Int("out", 2, "version of the PROXY protocol for targets; 0: no header")
	flag.Parse()
	if err := run(*address, *addresses, *in, *out); err != nil {
		log.Fatal(err)
	}
}

func run(address, addresses string, in bool, out int) error {
	var targets []upstream.Target
	for target := range strings.SplitSeq(addresses, ",") {
		targets = append(targets, upstream.Target{Addr: target})
	}
	// A target that refuses connections is left out for a while.
	set, err := upstream.New(upstream.Options{Connect: time.Second}, targets...)
	if err != nil {
		return err
	}
	p := tcpproxy.New(tcpproxy.Config{
		To:       tcpproxy.To(set),
		ProxyOut: out,
		Sessions: 10000,
		Ended:    ended,
	})
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{})
	if err != nil {
		return err
	}
	if in {
		ln.SetPreface(proxyproto.New(0)) // 0: a connection has 5 seconds to send it
	}
	if err := e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()}); err != nil {
		return err
	}
	log.Print("listening at ", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	log.Printf("%d sessions at the end", p.Sessions())
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return e.Shutdown(grace)
}

// ended is called on a loop, so it must not wait: a program with many sessions needs a queue before its log.
func ended(s *tcpproxy.Ended) {
	log.Printf("%v to %s for %v: %v", s.Client.Remote, s.Target, s.Took.Round(time.Millisecond), s.Err)
}
