package main

import (
	"net/http"

	"moonbridge/benchmarks/peers/httphandlers"
	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, handler := workload.Handler(httphandlers.Handlers)
	workload.Fail(http.ListenAndServe(address, handler))
}
