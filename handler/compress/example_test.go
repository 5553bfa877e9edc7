package compress_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/compress"
)

// A Backend stands in front of the backend whose responses it compresses.
func Example() {
	hello := handler.Func(func(w *handler.Response, r *handler.Request) {
		w.Set("Content-Type", "text/plain")
		io.WriteString(w, strings.Repeat("Hello, world!\n", 1000))
	})
	backend, err := compress.New(handler.OnLoop(hello), compress.Options{Level: 6}, compress.NewShared())
	if err != nil {
		panic(err)
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, backend, 0, engine.Limits{}); err != nil {
		panic(err)
	}

	req, _ := http.NewRequest("GET", "http://"+ln.Addr(), nil)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	plain, err := gzip.NewReader(resp.Body)
	if err != nil {
		panic(err)
	}
	body, err := io.ReadAll(plain)
	fmt.Println(resp.Header.Get("Content-Encoding"), len(body), resp.ContentLength < 200, err)
	// Output: gzip 14000 true <nil>
}
