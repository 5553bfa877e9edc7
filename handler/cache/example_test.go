package cache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/cache"
)

// A handler that is called once for many requests.
func Example() {
	calls := 0
	page := handler.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) {
		calls++
		w.Set("Cache-Control", "s-maxage=60")
		fmt.Fprintf(w, "call %d for %s", calls, r.Path())
	}))
	kept := cache.New(page, cache.Options{Bytes: 1 << 20})

	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, kept, 0, engine.Limits{}); err != nil {
		panic(err)
	}

	get := func() {
		res, err := http.Get("http://" + ln.Addr() + "/news")
		if err != nil {
			panic(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		fmt.Println(string(text), err)
	}
	get()
	get()
	fmt.Println("removed:", kept.Purge(ln.Addr()+"/news"))
	get()
	// Output:
	// call 1 for news <nil>
	// call 1 for news <nil>
	// removed: 1
	// call 2 for news <nil>
}
