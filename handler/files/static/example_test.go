package static_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"moonbridge/engine"
	"moonbridge/handler/files/static"
)

// A directory, served by an engine.
func Example() {
	dir, err := os.MkdirTemp("", "static")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.WriteFile(dir+"/hello.txt", []byte("Hello!"), 0o644)

	files, err := static.New(static.Config{Rules: []static.Rule{{Prefix: "/files/", Path: dir}}})
	if err != nil {
		panic(err)
	}
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer files.Close()
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, files.Backend(nil, ""), 0, engine.Limits{}); err != nil {
		panic(err)
	}

	for _, path := range []string{"/files/hello.txt", "/files/none.txt"} {
		res, err := http.Get("http://" + ln.Addr() + path)
		if err != nil {
			panic(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Printf("%s: %q\n", res.Status, text)
	}
	// Output:
	// 200 OK: "Hello!"
	// 404 Not Found: "Not Found\n"
}
