package ratelimit_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/ratelimit"
)

// A handler that a client may call twice at once, and then once in an hour.
func Example() {
	page := handler.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) { io.WriteString(w, "page") }))
	limiter, err := ratelimit.New(ratelimit.Options{Rate: 1.0 / 3600, Burst: 2, Name: "ip"})
	if err != nil {
		panic(err)
	}

	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, limiter.Wrap(page), 0, engine.Limits{}); err != nil {
		panic(err)
	}

	for range 3 {
		res, err := http.Get("http://" + ln.Addr() + "/")
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %q\n", res.Status, res.Header["Ratelimit-Policy"])
		res.Body.Close()
	}
	// Output:
	// 200 OK []
	// 200 OK []
	// 429 Too Many Requests ["\"ip\";q=2;w=7200"]
}
