package otlp

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkExchange measures what it takes to make the spans of an exchange and to send them. An operation is one exchange.
func BenchmarkExchange(b *testing.B) {
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer to.Close()
	e, err := New(Config{Endpoint: to.URL, Ratio: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(patience)
	w := newWriter(e, resourceOf(Config{}))
	one, batch := appendEntry(nil, entry()), []byte(nil)
	const exchanges = 300
	for range exchanges {
		batch = append(batch, one...)
	}
	b.ReportAllocs()
	for i := 0; i < b.N; i += exchanges {
		w.Write(batch)
	}
}
