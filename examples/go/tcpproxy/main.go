// Command tcpproxy passes TCP connections on to servers (targets), whatever protocol they carry. It can receive and send the
// PROXY protocol, a header in front of a connection that says who its client is.
//
//	go run ./examples/go/tcpproxy -targets 127.0.0.1:9001,127.0.0.1:9002    # listens at 127.0.0.1:8081
package main

import (
	"flag"
	"log"
	"strings"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	targets := flag.String("targets", "127.0.0.1:9001", "targets: IP addresses with ports, separated by commas")
	in := flag.Bool("in", false, "clients begin with the header: only if nobody but a trusted proxy can connect")
	out := flag.Bool("out", false, "targets get the header, which they have to expect")
	flag.Parse()

	// If a target does not accept a connection within a second, another one is tried. One that fails several times is left
	// out for a while.
	set, err := upstream.New(upstream.Options{Connect: time.Second}, upstream.Targets(strings.Split(*targets, ",")...)...)
	check(err)
	config := tcpproxy.Config{To: tcpproxy.To(set)}
	if *out {
		config.ProxyOut = 2 // the version of the header, which is binary; 1 is text
	}
	p := tcpproxy.New(config)

	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	if *in {
		ln.SetPreface(proxyproto.New(0)) // of either version, within 5 seconds (0: the default)
	}
	// p.Bounds has the defaults for both sides: sizes of buffers, and that a connection ends after an hour without a byte.
	check(e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()}))
	log.Print("listening at ", ln.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Then connections have 10 seconds to end; those that are left are reset.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
