// Command tcpproxy passes TCP connections on to servers, whatever protocol they carry. It can receive and send the PROXY
// protocol: a header at the beginning of a connection that names the original client.
//
//	python3 -m http.server --bind 127.0.0.1 9001 &
//	go run ./examples/go/tcpproxy -servers 127.0.0.1:9001,127.0.0.1:9002
//	curl http://127.0.0.1:8081/
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
	servers := flag.String("servers", "127.0.0.1:9001", "IP addresses with ports, separated by commas")
	in := flag.Bool("in", false, "expect the PROXY header from clients; safe only if nobody but a trusted proxy can connect")
	out := flag.Bool("out", false, "send the PROXY header to the servers, which must expect it")
	flag.Parse()

	// If a server does not accept a connection within a second, another one is tried, three at most. A server that fails three
	// times within 10 seconds gets no connections for 10 seconds, and longer each time. But if fewer than half of the servers
	// would remain, all get connections.
	targets := upstream.Targets(strings.Split(*servers, ",")...)
	set, err := upstream.New(upstream.Options{Connect: time.Second}, targets...)
	check(err)
	config := tcpproxy.Config{To: tcpproxy.To(set)} // each connection goes to one of the servers of set
	if *out {
		config.ProxyOut = 2 // version 2 of the header, which is binary; version 1 is text
	}
	p := tcpproxy.New(config)

	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{}) // listens; ServeTCP would speak HTTP
	check(err)
	if *in {
		// Read the header, of either version, before p gets the connection. The header must arrive within 5 seconds (0: the
		// default).
		ln.SetPreface(proxyproto.New(0))
	}
	// The engine enforces what p sets for connections of clients: how much memory each may take, and how long it may be idle
	// (an hour by default).
	check(e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()}))
	log.Print("listening at ", ln.Addr())
	// Shutdown is as in example hello. Connections that are still open after 10 seconds are cut, and that is an error.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
