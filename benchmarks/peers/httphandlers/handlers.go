package httphandlers

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"moonbridge/benchmarks/peers/workload"
)

// bodyBytesMax bounds the bodies that are read as a whole; the comparison sends 1 KiB.
const bodyBytesMax = 1 << 20

// Handlers are the handlers by name.
var Handlers = map[string]http.HandlerFunc{
	"hello":    hello,
	"blocking": blocking,
	"page": func(w http.ResponseWriter, _ *http.Request) {
		answer(w, workload.Page())
	},
	"json": func(w http.ResponseWriter, _ *http.Request) {
		body := workload.JSON()
		describe(w, workload.JSONType, len(body))
		w.Write(body)
	},
	"form": func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		answer(w, workload.Greeting(r.PostFormValue(workload.FormField)))
	},
	"echo": func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
		if err != nil {
			http.Error(w, "body could not be read", http.StatusBadRequest)
			return
		}
		describe(w, workload.ContentType, len(body))
		w.Write(body)
	},
	"sizes": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != workload.LargePath {
			hello(w, r)
			return
		}
		describe(w, workload.ContentType, len(workload.Large))
		w.Write(workload.Large)
	},
	"upload":   upload,
	"download": download,
	"beside": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == workload.BlockingPath {
			blocking(w, r)
			return
		}
		hello(w, r)
	},
}

func hello(w http.ResponseWriter, _ *http.Request) { answer(w, workload.Hello) }

func blocking(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(workload.Sleep)
	answer(w, workload.Hello)
}

// upload counts the bytes of the body as they arrive.
func upload(w http.ResponseWriter, r *http.Request) {
	piece := make([]byte, len(workload.Piece))
	total := 0
	for {
		n, err := r.Body.Read(piece)
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			http.Error(w, "body could not be read", http.StatusBadRequest)
			return
		}
	}
	answer(w, strconv.Itoa(total)+"\n")
}

func download(w http.ResponseWriter, _ *http.Request) {
	describe(w, workload.ContentType, workload.DownloadBytes)
	for range workload.DownloadBytes / len(workload.Piece) {
		if _, err := w.Write(workload.Piece); err != nil {
			return
		}
	}
}

// answer sends a body with its Content-Length. net/http sets that itself only for short bodies; a page would be sent in
// chunks.
func answer(w http.ResponseWriter, body string) {
	describe(w, workload.ContentType, len(body))
	io.WriteString(w, body)
}

func describe(w http.ResponseWriter, kind string, length int) {
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Length", strconv.Itoa(length))
}
