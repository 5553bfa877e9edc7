package handler_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"moonbridge/engine"
	"moonbridge/handler"
)

// The client of net/http gives window for every few KiB that its program reads. That is no flood, however large the response is.
func TestH2LargeResponse(t *testing.T) {
	const size = 48 << 20
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 1<<20)
		for range size / len(part) {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	if err := e.Serve(ln, handler.Blocking(handler.HTTP(h), 1), 0, engine.Limits{H2C: true}); err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("http://" + ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 4<<10))
	if n != size || err != nil {
		t.Errorf("%d bytes of %d, %v", n, size, err)
	}
}
