package loops

import (
	"moonbridge/engine"
	"moonbridge/handler/backend"

	"moonbridge/benchmarks/peers/workload"
)

// Serve serves HTTP at address with b. It does not return: a signal ends the process.
func Serve(address string, b backend.Backend) {
	Run(address, engine.Options{}, func(e *engine.Engine, ln *engine.Listener) error { return e.Serve(ln, b, 0, engine.Limits{}) })
}

// Run starts an engine, opens address, calls serve, and does not return.
func Run(address string, o engine.Options, serve func(*engine.Engine, *engine.Listener) error) {
	e, err := engine.New(o)
	if err != nil {
		workload.Fail(err)
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{})
	if err != nil {
		workload.Fail(err)
	}
	if err := serve(e, ln); err != nil {
		workload.Fail(err)
	}
	select {}
}
