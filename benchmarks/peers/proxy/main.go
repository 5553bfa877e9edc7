package main

import (
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
	loops.Serve(address, proxy.New(proxy.Config{To: proxy.To(set)}))
}
