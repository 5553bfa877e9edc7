// Command tcpproxy passes TCP connections on, whatever protocol they carry. A header of the PROXY protocol tells the targets who the
// clients are (-out), and a proxy in front of this one can send such a header too (-in). Both ends must expect the header: a target
// that does not know it takes it for data.
//
//	go run ./examples/go/tcpproxy -targets 127.0.0.1:9001,127.0.0.1:9002    # listens at 127.0.0.1:8081
//	go run ./examples/go/tcpproxy -targets 127.0.0.1:9001 -out 2            # with the header, for HAProxy, nginx and others
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
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	addresses := flag.String("targets", "127.0.0.1:9001", "where connections go: IP addresses with ports, separated by commas")
	in := flag.Bool("in", false, "require a header of the PROXY protocol from clients, which are proxies then")
	out := flag.Int("out", 0, "send targets a header of this version of the PROXY protocol, 1 or 2; 0: no header")
	flag.Parse()
	if err := run(*address, *addresses, *in, *out); err != nil {
		log.Fatal(err)
	}
}

func run(address, addresses string, in bool, out int) error {
	if out < 0 || out > 2 {
		return fmt.Errorf("-out %d: the versions of the PROXY protocol are 1 and 2", out)
	}
	var targets []upstream.Target
	for target := range strings.SplitSeq(addresses, ",") {
		targets = append(targets, upstream.Target{Addr: target})
	}
	// A target that refuses connections, or accepts none within a second, is left out for a while.
	set, err := upstream.New(upstream.Options{Connect: time.Second}, targets...)
	if err != nil {
		return err
	}
	p := tcpproxy.New(tcpproxy.Config{
		To:       tcpproxy.To(set),
		ProxyOut: out,
		Sessions: 10000, // connections of clients at a time; others are reset
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
	// The engine bounds the buffers and the idle time of connections, and the proxy says how.
	if err := e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()}); err != nil {
		return err
	}
	log.Print("listening at ", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	stop() // a second signal ends the program at once
	log.Printf("stopping with %d sessions", p.Sessions())
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return e.Shutdown(grace)
}

// ended is called on a loop, so it must not wait: a program with many sessions needs a queue before its log.
func ended(s *tcpproxy.Ended) {
	how, target := "completed", s.Target
	if s.Err != nil {
		how = s.Err.Error()
	}
	if target == "" {
		target = "no target"
	}
	log.Printf("%v to %s for %v: %s", s.Client.Remote, target, s.Took.Round(time.Millisecond), how)
}
