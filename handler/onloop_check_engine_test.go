package handler_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// With engine.Options.Check, what a handler keeps after Serve panics instead of returning errors that might be ignored.
func TestCheckedStaleUse(t *testing.T) {
	var oldW *handler.Response
	var oldR *handler.Request
	url := "http://" + onLoopOf(t, engine.Options{Loops: 1, Check: true}, handler.Config{}, func(w *handler.Response, r *handler.Request) {
		if oldW == nil {
			oldW, oldR = w, r
			return
		}
		for name, use := range map[string]func(){
			"Write":   func() { oldW.WriteString("x") },
			"Set":     func() { oldW.Set("A", "x") },
			"Status":  func() { oldW.SetStatus(204) },
			"Trailer": func() { oldW.AddTrailer("A", "x") },
			"Flush":   func() { oldW.Flush() },
			"Path":    func() { oldR.Path() },
			"Read":    func() { oldR.Read(make([]byte, 1)) },
			"Body":    func() { oldR.Body(1) },
		} {
			if !panics(use) {
				t.Errorf("%s does not panic", name)
			}
		}
		w.WriteString("tried")
	}) + "/"
	answerTo(t, "GET", url, "")
	if status, text := answerTo(t, "GET", url, ""); status != 200 || text != "tried" {
		t.Errorf("%d %q", status, text)
	}
}

// Views of a request end with Serve, also those of one that the backend has kept: because its body came in pieces, or its answer later.
func TestCheckedViews(t *testing.T) {
	for _, check := range []bool{false, true} {
		type views struct{ path, field, body, trailer []byte }
		var kept views
		seen := make(chan views, 1)
		keep := func(w *handler.Response, r *handler.Request) {
			body, _ := r.Body(100)
			kept = views{r.Path(), r.Field("A"), body, nil}
			for _, value := range r.Trailers() {
				kept.trailer = value
			}
		}
		addr := onLoopOf(t, engine.Options{Loops: 1, Check: check}, handler.Config{}, func(w *handler.Response, r *handler.Request) {
			switch string(r.Method()) {
			case "PUT":
				keep(w, r)
			case "POST":
				r.Later().Do(keep)
			default:
				seen <- views{bytes.Clone(kept.path), bytes.Clone(kept.field), bytes.Clone(kept.body), bytes.Clone(kept.trailer)}
			}
		})
		for _, method := range []string{"PUT", "POST"} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			in := bufio.NewReader(c)
			ask := func(text string) {
				t.Helper()
				io.WriteString(c, text)
				res, err := http.ReadResponse(in, nil)
				if err != nil || res.StatusCode != 200 {
					t.Fatal(res, err)
				}
			}
			ask(method + " /some/path HTTP/1.1\r\nHost: h\r\nA: field\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nT: trailer\r\n\r\n")
			ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			v := <-seen
			for want, got := range map[string][]byte{"some/path": v.path, "field": v.field, "body": v.body, "trailer": v.trailer} {
				if check && string(got) == want {
					t.Errorf("%s: %q that was kept is still there", method, got)
				}
				if len(got) != len(want) {
					t.Errorf("%s: %q in place of %q", method, got, want)
				}
			}
			c.Close()
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
