package main

import (
	"moonbridge/handler"

	"moonbridge/benchmarks/peers/httphandlers"
	"moonbridge/benchmarks/peers/loops"
	"moonbridge/benchmarks/peers/workload"
)

// handlersMax is above the largest number of connections that is measured, since net/http has no limit.
const handlersMax = 1 << 16

func main() {
	address, h := workload.Handler(httphandlers.Handlers)
	loops.Serve(address, handler.Blocking(handler.HTTP(h), handlersMax))
}
