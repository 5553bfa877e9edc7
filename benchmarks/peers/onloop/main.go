package main

import (
	"fmt"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/httpparse"

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
	address, name := workload.Args()
	h := handlers[name]
	if h == nil {
		workload.Fail(fmt.Errorf("unknown handler %q", name))
	}
	if err := serve(address, h); err != nil {
		workload.Fail(err)
	}
	select {} // a signal ends the process
}

func serve(address string, h handler.Handler) error {
	e, err := engine.New(engine.Options{})
	if err != nil {
		return err
	}
	ln, err := e.Open("tcp", address, engine.OpenOptions{})
	if err != nil {
		return err
	}
	return e.Serve(ln, handler.OnLoop(h), 0, engine.Limits{})
}
