package handler_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// serveOneLoop serves h on an engine with one loop, and returns the engine and the URL.
func serveOneLoop(t *testing.T, h handler.Handler) (*engine.Engine, string) {
	t.Helper()
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		e.Shutdown(ctx)
	})
	ln, err := e.Open("tcp", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, quiet.Blocking(h, 0), 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	return e, "http://" + ln.Addr()
}

// Handlers on the goroutine of a loop may wait for other requests of the loop, for the end of the client, and for calls of the engine.
func TestAsideWaits(t *testing.T) {
	meeting := make(chan struct{})
	var e *engine.Engine
	var url string
	var short atomic.Int32
	e, url = serveOneLoop(t, handler.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/meet":
			select {
			case meeting <- struct{}{}:
			case <-meeting:
			case <-time.After(patience):
				t.Error("alone")
			}
		case "/gone":
			<-r.Context().Done()
			meeting <- struct{}{}
		case "/open":
			ln, err := e.Open("tcp", "127.0.0.1:0", engine.OpenOptions{})
			if err == nil {
				err = e.Serve(ln, handler.OnLoop(handler.Func(func(*handler.Response, *handler.Request) {})), 0, engine.Limits{})
			}
			if err != nil {
				t.Error(err)
			}
		default:
			short.Add(1)
		}
		fmt.Fprint(w, r.URL.Path)
	})))
	get := func(path string) {
		res, err := http.Get(url + path)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); string(body) != path || err != nil {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	// trust makes sure that the loop's goroutine calls the next handler: it has called many short ones.
	trust := func() {
		for range 100 {
			get("/")
		}
	}
	trust()
	met := make(chan struct{})
	go func() { defer close(met); get("/meet") }()
	get("/meet")
	<-met
	trust()
	c, _ := talk(t, url[len("http://"):], "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
	time.AfterFunc(time.Millisecond, func() { c.Close() })
	select {
	case <-meeting:
	case <-time.After(patience):
		t.Error("the context does not end with the client")
	}
	trust()
	get("/open")
	if n := short.Load(); n != 300 {
		t.Errorf("%d short requests", n)
	}
}
