package handler_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
)

// serveH2 serves b, and returns a client that speaks HTTP/2 without TLS, and the URL.
func serveH2(t *testing.T, b backend.Backend) (*http.Client, string) {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Shutdown(context.Background()) })
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, b, 0, engine.Limits{H2C: true}); err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, "http://" + ln.Addr()
}

// The client of net/http gives window for every few KiB that its program reads. That is no flood, however large the response is.
func TestH2LargeResponse(t *testing.T) {
	const size = 48 << 20
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 1<<20)
		for range size / len(part) {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	client, url := serveH2(t, handler.Blocking(handler.HTTP(h), 1))
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 4<<10))
	if n != size || err != nil {
		t.Errorf("%d bytes of %d, %v", n, size, err)
	}
}

// A handler for net/http gets the trailer fields of a request, although no TransferEncoding says that there may be any.
func TestH2RequestTrailer(t *testing.T) {
	h := handler.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		io.WriteString(w, r.Trailer.Get("Checksum"))
	}))
	for name, b := range map[string]backend.Backend{"goroutine": handler.Blocking(h, 1), "loop": handler.OnLoop(h)} {
		t.Run(name, func(t *testing.T) {
			client, url := serveH2(t, b)
			q, err := http.NewRequest("POST", url, struct{ io.Reader }{strings.NewReader("body ")})
			if err != nil {
				t.Fatal(err)
			}
			q.Trailer = http.Header{"Checksum": {"123"}}
			res, err := client.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if text, err := io.ReadAll(res.Body); string(text) != "body 123" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}
