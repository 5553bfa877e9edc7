package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// serve serves a backend on a free port. stop ends that.
func serve(b backend.Backend) (url string, stop func()) {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		panic(err)
	}
	return "http://" + ln.Addr(), func() { e.Shutdown(context.Background()) }
}

// show prints a response.
func show(res *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, strings.TrimSpace(string(text)), err)
}

// A handler that never blocks runs on the event loop.
func ExampleOnLoop() {
	hello := handler.Func(func(w *handler.Response, r *handler.Request) {
		name := "world"
		form := httpparse.NewForm(r.Query(), nil)
		for key, value, ok := form.Next(); ok; key, value, ok = form.Next() {
			if string(key) == "name" {
				name = string(value)
			}
		}
		w.Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Hello, %s!\n", name)
	})
	url, stop := serve(handler.OnLoop(hello))
	defer stop()
	show(http.Get(url + "/?name=Moon"))
	// Output: 200 Hello, Moon! <nil>
}

// A handler that waits for something runs on a goroutine: here at most 100 at the same time. It may stream its response.
func ExampleBlocking() {
	count := handler.Func(func(w *handler.Response, r *handler.Request) {
		for n := range 3 {
			fmt.Fprint(w, n)
			if w.Flush() != nil { // sends what was written so far
				return // the peer is gone
			}
		}
	})
	url, stop := serve(handler.Blocking(count, 100))
	defer stop()
	show(http.Get(url))
	// Output: 200 012 <nil>
}

// Config sets the limits of a backend.
func ExampleConfig_OnLoop() {
	length := handler.Func(func(w *handler.Response, r *handler.Request) {
		body, _ := r.Body(10)
		fmt.Fprint(w, len(body))
	})
	config := handler.Config{BodyMax: 10}
	url, stop := serve(config.OnLoop(length))
	defer stop()
	show(http.Post(url, "text/plain", strings.NewReader("ten bytes!")))
	show(http.Post(url, "text/plain", strings.NewReader("ten bytes!!")))
	// Output:
	// 200 10 <nil>
	// 413 Content Too Large <nil>
}

// HTTP makes routers and libraries for net/http usable.
func ExampleHTTP() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /item/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "item", r.PathValue("id"))
	})
	url, stop := serve(handler.Blocking(handler.HTTP(mux), 0))
	defer stop()
	show(http.Get(url + "/item/7"))
	show(http.Get(url + "/items"))
	// Output:
	// 200 item 7 <nil>
	// 404 404 page not found <nil>
}

func ExampleRequest_Body() {
	order := handler.Func(func(w *handler.Response, r *handler.Request) {
		body, err := r.Body(100)
		if errors.Is(err, handler.ErrBodyTooLarge) {
			w.Error(413)
			return
		} else if err != nil { // the peer is gone, or the body broke off
			w.Error(400)
			return
		}
		var item struct{ Name string }
		if json.Unmarshal(body, &item) != nil {
			w.Error(422)
			return
		}
		w.Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "ordered: %q\n", item.Name)
	})
	url, stop := serve(handler.Blocking(order, 0))
	defer stop()
	show(http.Post(url, "application/json", strings.NewReader(`{"Name": "tea"}`)))
	show(http.Post(url, "application/json", strings.NewReader(strings.Repeat(" ", 101))))
	show(http.Post(url, "application/json", strings.NewReader("tea")))
	// Output:
	// 200 ordered: "tea" <nil>
	// 413 Content Too Large <nil>
	// 422 Unprocessable Content <nil>
}

func ExampleResponse_AddTrailer() {
	h := handler.Func(func(w *handler.Response, r *handler.Request) {
		w.Set("Trailer", "Checksum")
		w.WriteString("some bytes")
		w.AddTrailer("Checksum", "a1b2")
	})
	url, stop := serve(handler.Blocking(h, 0))
	defer stop()
	res, err := http.Get(url)
	show(res, err)
	fmt.Println(res.Trailer.Get("Checksum"))
	// Output:
	// 200 some bytes <nil>
	// a1b2
}
