package main

import (
	"net/http"

	"moonbridge/benchmarks/peers/httphandlers"
	"moonbridge/benchmarks/peers/workload"
)

func main() {
	address, handler := workload.Handler(httphandlers.Handlers)
	if cert, key := workload.Certificate(); cert != "" {
		workload.Fail(http.ListenAndServeTLS(address, cert, key, handler))
	}
	workload.Fail(http.ListenAndServe(address, handler))
}
