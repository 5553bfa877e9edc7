package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"moonbridge/benchmarks/peers/workload"
)

// echoBytesMax bounds the body that echo reads; the comparison sends 1 KiB.
const echoBytesMax = 1 << 20

var handlers = map[string]http.HandlerFunc{
	"hello": func(w http.ResponseWriter, _ *http.Request) {
		answer(w, workload.Hello)
	},
	"page": func(w http.ResponseWriter, _ *http.Request) {
		answer(w, workload.Page())
	},
	"blocking": func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(workload.Sleep)
		answer(w, workload.Hello)
	},
	"echo": func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, echoBytesMax))
		if err != nil {
			http.Error(w, "body could not be read", http.StatusBadRequest)
			return
		}
		header := w.Header()
		header.Set("Content-Type", workload.ContentType)
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	},
}

// answer sends a body with its Content-Length. net/http sets that itself only for short bodies; a page would be sent in
// chunks.
func answer(w http.ResponseWriter, body string) {
	header := w.Header()
	header.Set("Content-Type", workload.ContentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	io.WriteString(w, body)
}

func main() {
	address, name := workload.Args()
	handler := handlers[name]
	if handler == nil {
		workload.Fail(fmt.Errorf("unknown workload %q", name))
	}
	workload.Fail(http.ListenAndServe(address, handler))
}
