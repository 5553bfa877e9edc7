package handler_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
)

// A handler is told what it has to pass on, wherever it runs, and nothing if the engine does not trace.
func TestRequestTrace(t *testing.T) {
	serve := handler.Func(func(w *handler.Response, r *handler.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Trace().TraceID(), r.Trace().Traceparent(), r.Trace().Tracestate())
	})
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for name, b := range map[string]backend.Backend{"on the loop": handler.OnLoop(serve), "blocking": handler.Blocking(serve, 4)} {
		for _, o := range []*engine.Tracing{nil, {}} {
			e, err := engine.New(engine.Options{Loops: 1, Trace: o})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Shutdown(context.Background())
			ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
				t.Fatal(err)
			}
			q, _ := http.NewRequest("GET", "http://"+ln.Addr(), nil)
			q.Header.Set("traceparent", "00-"+id+"-"+parent+"-01")
			q.Header.Set("tracestate", "a=1")
			res, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			got := string(text)
			if o == nil && got != "  " || o != nil && (!strings.HasPrefix(got, id+" 00-"+id+"-") || strings.Contains(got, parent) || !strings.HasSuffix(got, "-01 a=1")) {
				t.Errorf("%s, traced: %v: %q", name, o != nil, got)
			}
		}
	}
}
