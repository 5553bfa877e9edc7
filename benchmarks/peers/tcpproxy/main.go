package main

import (
	"moonbridge/engine"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"

	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, target := workload.Args()
	if err := serve(address, target); err != nil {
		workload.Fail(err)
	}
	select {} // a signal ends the process
}

func serve(address, target string) error {
	set, err := upstream.New(upstream.Options{}, upstream.Target{Addr: target})
	if err != nil {
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
	p := tcpproxy.New(tcpproxy.Config{To: tcpproxy.To(set)})
	return e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()})
}
