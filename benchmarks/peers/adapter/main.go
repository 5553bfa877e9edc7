package main

import (
	"fmt"
	"net/http"

	"moonbridge/engine"
	"moonbridge/handler"

	"moonbridge/benchmarks/peers/httphandlers"
	"moonbridge/benchmarks/peers/workload"
)

// handlersMax is above the largest number of connections that is measured, since net/http has no limit.
const handlersMax = 1 << 16

func main() {
	address, name := workload.Args()
	h := httphandlers.Handlers[name]
	if h == nil {
		workload.Fail(fmt.Errorf("unknown handler %q", name))
	}
	if err := serve(address, h); err != nil {
		workload.Fail(err)
	}
	select {} // a signal ends the process
}

func serve(address string, h http.Handler) error {
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{})
	if err != nil {
		return err
	}
	return e.Serve(ln, handler.Blocking(handler.HTTP(h), handlersMax), 0, engine.Limits{})
}
