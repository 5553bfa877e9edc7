package main

import (
	"fmt"
	"net/http"

	"moonbridge/benchmarks/peers/httphandlers"
	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, name := workload.Args()
	handler := httphandlers.Handlers[name]
	if handler == nil {
		workload.Fail(fmt.Errorf("unknown handler %q", name))
	}
	workload.Fail(http.ListenAndServe(address, handler))
}
