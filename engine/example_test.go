package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// text answers every request with a text. It never blocks, so it may run on the loops.
func text(s string) handler.Func {
	return func(w *handler.Response, r *handler.Request) { w.WriteString(s) }
}

// get prints the response to a GET request.
func get(address string) {
	res, err := http.Get("http://" + address + "/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, string(body), err)
}

// A server that runs until Shutdown. A program would wait for a signal before that.
func Example() {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	limits := engine.Limits{BodyBytes: 1 << 20, HeadTimeout: 10 * time.Second}
	if err := e.Serve(ln, handler.OnLoop(text("hello")), 0, limits); err != nil {
		panic(err)
	}
	get(ln.Addr())

	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(e.Shutdown(grace))
	// Output:
	// 200 hello <nil>
	// <nil>
}

// Serve may be called again for a listener. The client's connection stays open, and its next request goes to the new backend.
func ExampleEngine_Serve_again() {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	for _, version := range []string{"old", "new"} {
		b := handler.OnLoop(text(version))
		if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
			panic(err)
		}
		get(ln.Addr())
	}
	// Output:
	// 200 old <nil>
	// 200 new <nil>
}

// The access log is a function. It runs on the loop, so it hands its line to a goroutine that may wait for a disk.
func ExampleOptions_accessLog() {
	lines := make(chan string, 100)
	e, err := engine.New(engine.Options{
		Loops: 1,
		AccessLog: func(a *engine.Access) {
			select {
			case lines <- fmt.Sprintf("%q %q %d %d", a.Method, a.Target, a.Status, a.Bytes): // the bytes are the client's: quote them
			default: // the writer is too slow: the loop must not wait for it
			}
		},
	})
	if err != nil {
		panic(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, handler.OnLoop(text("hello")), 0, engine.Limits{}); err != nil {
		panic(err)
	}
	get(ln.Addr())
	e.Shutdown(context.Background())
	fmt.Println(<-lines)
	// Output:
	// 200 hello <nil>
	// "GET" "/" 200 5
}
