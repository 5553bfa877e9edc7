package cache

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// A client cannot put a page into the store under the key of another one.

// Without Host, the handler sees no host, even if the target has one.
func TestNoHost(t *testing.T) {
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "site %q", q.Host)
	})
	_, br := r.dial("GET http://example.com/x HTTP/1.0\r\n\r\n")
	if body := readBody(t, br); body != `site ""` {
		t.Fatalf("the handler sees a host: %q", body)
	}
	r.get("/x", `site "example.com"`)
	_, br = r.dial("GET http://example.com/x HTTP/1.0\r\nHost: other.example\r\n\r\n")
	if body := readBody(t, br); body != `site "example.com"` {
		t.Errorf("with Host: %q", body)
	}
}

// A value that only looks the same as a list is another value for the handler.
func TestVaryOrigin(t *testing.T) {
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Origin")
		fmt.Fprint(w, q.Header.Get("Origin") == "https://a.example")
	})
	r.get("/", "false", "Origin: https://a.example,")
	r.get("/", "true", "Origin: https://a.example")
}

// Dates as far away as they can be are valid.
func TestFarDates(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, q *http.Request) {
		calls.Add(1)
		w.Header().Set("Expires", "Fri, 31 Dec 9999 23:59:59 GMT")
		io.WriteString(w, "page")
	})
	for range 3 {
		r.get("/", "page")
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}
