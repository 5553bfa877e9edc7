// Command tcpproxy passes TCP connections on to servers (targets, IP addresses with ports), whatever protocol they carry.
//
// Targets see the address of the proxy. With -out 1 or 2, each connection to a target begins with a header of that version of the PROXY
// protocol, which has the client's address. The target must expect it.
//
// With -in, each connection of a client must begin with such a header. The address in it then counts as the client's, in the log and with
// -out. Use it only behind another proxy: whoever can connect can claim any address.
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
	"moonbridge/handler/logging"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"
)

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	targets := flag.String("targets", "127.0.0.1:9001", "where connections go: IP addresses with ports, separated by commas")
	in := flag.Bool("in", false, "require a PROXY protocol header; only if nobody but a trusted proxy can connect")
	out := flag.Int("out", 0, "version of the PROXY protocol header that is sent to targets, 1 or 2; 0: no header")
	flag.Parse()
	if err := run(*address, *targets, *in, *out); err != nil {
		log.Fatal(err)
	}
}

func run(address, targets string, in bool, out int) error {
	if out < 0 || out > 2 {
		return fmt.Errorf("-out %d: the versions of the PROXY protocol are 1 and 2", out)
	}
	// ended and engine log on the loops, which must not wait for a slow reader of the log: lines that do not fit into the queue are lost.
	logs := logging.NewQueue(os.Stderr, logging.Options{})
	log.SetOutput(logs)
	defer logs.Close(time.Second)
	defer log.SetOutput(os.Stderr) // runs before Close, so main can still log an error
	var list []upstream.Target
	for target := range strings.SplitSeq(targets, ",") {
		list = append(list, upstream.Target{Addr: strings.TrimSpace(target)})
	}
	// If a target refuses a connection, or does not accept it within a second, another one is tried, three in all (tcpproxy.Config.Tries).
	// After three such failures within 10 s a target gets no connections for a while. If fewer than half are up, all get connections.
	set, err := upstream.New(upstream.Options{Connect: time.Second}, list...)
	if err != nil {
		return err
	}
	p := tcpproxy.New(tcpproxy.Config{
		To:       tcpproxy.To(set), // always this set. A function of your own could choose one by the client's address
		ProxyOut: out,
		Sessions: 10000, // client connections at a time; others are reset. Each needs at least two descriptors (ulimit -n)
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
		ln.SetPreface(proxyproto.New(0)) // each connection must begin with the header. 0: within the default time, 5 seconds
	}
	// p applies its bounds (sizes, and the idle time of 1 hour) to its connections to targets. The engine has those of clients, so it gets the
	// same bounds here. To change both, set Bounds in tcpproxy.Config above.
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
		return // refused (package tcpproxy logs these, at a bounded rate), or ended before a target has accepted it
	}
	how := "completed"
	if s.Err != nil {
		how = s.Err.Error()
	}
	log.Printf("%v to %s for %v: %s", s.Client.Remote, s.Target, s.Took.Round(time.Millisecond), how)
}
