package main

import (
	"moonbridge/engine"
	"moonbridge/handler/proxy"
	"moonbridge/handler/upstream"

	"moonbridge/benchmarks/peers/loops"
	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, target := workload.Args()
	set, err := upstream.New(upstream.Options{TLS: workload.TargetTLS()}, upstream.Target{Addr: target})
	if err != nil {
		workload.Fail(err)
	}
	b := proxy.New(proxy.Config{To: proxy.To(set)})
	loops.Run(address, engine.Options{Batch: true}, func(e *engine.Engine, ln *engine.Listener) error {
		return e.Serve(ln, b, 0, engine.Limits{})
	})
}
