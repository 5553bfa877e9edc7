package main

import (
	"moonbridge/engine"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"

	"moonbridge/benchmarks/peers/loops"
	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, target := workload.Args()
	set, err := upstream.New(upstream.Options{}, upstream.Target{Addr: target})
	if err != nil {
		workload.Fail(err)
	}
	p := tcpproxy.New(tcpproxy.Config{To: tcpproxy.To(set)})
	loops.Run(address, engine.Options{Batch: true}, func(e *engine.Engine, ln *engine.Listener) error {
		return e.ServeProtocol(ln, p, engine.ProtocolOptions{Bounds: p.Bounds()})
	})
}
