package compress_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/compress"
)

// A handler whose responses are compressed can take its connection over.
func TestHijack(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		defer c.Close()
		io.WriteString(c, "taken over\n")
	})
	b, err := compress.New(handler.Config{Logger: slog.New(slog.DiscardHandler)}.Blocking(handler.HTTP(h), 0), compress.Options{}, compress.NewShared())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Shutdown(context.Background()) })
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
	if got, err := io.ReadAll(c); string(got) != "taken over\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
