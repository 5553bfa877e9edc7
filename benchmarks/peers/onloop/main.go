package main

import (
	"moonbridge/handler"
	"moonbridge/httpparse"

	"moonbridge/benchmarks/peers/loops"
	"moonbridge/benchmarks/peers/workload"
)

// bodyBytesMax bounds the bodies that are read; the comparison sends 1 KiB.
const bodyBytesMax = 1 << 16

var handlers = map[string]handler.Func{
	"hello": func(w *handler.Response, _ *handler.Request) {
		answer(w, workload.Hello)
	},
	"page": func(w *handler.Response, _ *handler.Request) {
		answer(w, workload.Page())
	},
	"json": func(w *handler.Response, _ *handler.Request) {
		w.Set("Content-Type", workload.JSONType)
		w.Write(workload.JSON())
	},
	"form": form,
	"echo": func(w *handler.Response, r *handler.Request) {
		body, err := r.Body(bodyBytesMax)
		if err != nil {
			w.Error(400)
			return
		}
		w.Set("Content-Type", workload.ContentType)
		w.Write(body)
	},
}

func answer(w *handler.Response, body string) {
	w.Set("Content-Type", workload.ContentType)
	w.WriteString(body)
}

func form(w *handler.Response, r *handler.Request) {
	body, err := r.Body(bodyBytesMax)
	if err != nil {
		w.Error(400)
		return
	}
	fields := httpparse.NewForm(body, nil)
	for name, value, ok := fields.Next(); ok; name, value, ok = fields.Next() {
		if string(name) == workload.FormField {
			answer(w, workload.Greeting(string(value)))
			return
		}
	}
	w.Error(422)
}

func main() {
	address, h := workload.Handler(handlers)
	loops.Serve(address, handler.OnLoop(h))
}
