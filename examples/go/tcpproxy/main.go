// Command tcpproxy passes TCP connections on to servers (targets), whatever protocol they carry.
//
//	go run ./examples/go/tcpproxy -targets 127.0.0.1:9001,127.0.0.1:9002    # listens at 127.0.0.1:8081
//	go run ./examples/go/tcpproxy -targets 127.0.0.1:9001 -out 2            # with the PROXY protocol
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
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	targets := flag.String("targets", "127.0.0.1:9001", "targets: IP addresses with ports, separated by commas")
	in := flag.Bool("in", false, "require a PROXY protocol header: only if nobody but a trusted proxy can connect")
	out := flag.Int("out", 0, "version of the PROXY protocol header that is sent to targets, 1 or 2; 0: no header")
	flag.Parse()
	// Loops log, and must not wait for a slow reader of the log: lines go through a queue, and are lost if it is full.
	logs := logging.NewQueue(os.Stderr, logging.Options{})
	log.SetOutput(logs)
	err := run(*address, *targets, *in, *out)
	log.SetOutput(os.Stderr)
	logs.Close(time.Second) // writes what is left
	if err != nil {
		log.Fatal(err)
	}
}

func run(address, targets string, in bool, out int) error {
	if out < 0 || out > 2 {
		return fmt.Errorf("-out %d: the versions of the PROXY protocol are 1 and 2", out)
	}
	var list []upstream.Target
	for target := range strings.SplitSeq(targets, ",") {
		list = append(list, upstream.Target{Addr: strings.TrimSpace(target)})
	}
	// If a target does not accept a connection within a second, another one is tried, three in all. A target that fails
	// three times within 10 s is left out for a while, if at least half of the targets work.
	set, err := upstream.New(upstream.Options{Connect: time.Second}, list...)
	if err != nil {
		return err
	}
	p := tcpproxy.New(tcpproxy.Config{
		To: tcpproxy.To(set), // always this set; a function of your own could choose one by the client's address
		// 0: targets see only the proxy's address. 1 or 2: each connection to a target begins with a header of that version
		// of the PROXY protocol, which has the client's address. The target must expect it.
		ProxyOut: out,
		Sessions: 10000, // at a time; others are reset. Each needs two descriptors or more (ulimit -n)
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
		// Each connection of a client must begin with a header of the PROXY protocol, within 5 seconds (0: the default).
		// The address in it counts as the client's.
		ln.SetPreface(proxyproto.New(0))
	}
	// The engine makes the clients' connections, and p those to targets. Both get the same bounds: sizes of buffers, and
	// 1 h without a byte.
	if err := e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()}); err != nil {
		return err
	}
	log.Print("listening at ", ln.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	stop() // from here on, a second signal ends the program at once
	log.Printf("stopping with %d sessions", p.Sessions())
	// Sessions may go on for 10 seconds; those that are left are reset.
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.Shutdown(grace); err != nil {
		return fmt.Errorf("connections were cut: %w", err)
	}
	return nil
}

// ended logs a session: a client's connection, with the one to its target. It runs on an event loop and must not block.
func ended(s *tcpproxy.Ended) {
	if s.Target == "" {
		return // refused, which package tcpproxy logs, or ended before a target has accepted it
	}
	how := "completed"
	if s.Err != nil {
		how = s.Err.Error()
	}
	log.Printf("%v to %s for %v: %s", s.Client.Remote, s.Target, s.Took.Round(time.Millisecond), how)
}
