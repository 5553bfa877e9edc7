package cache

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Requests that have waited for a response that answers none of them go to the handler together.
func TestNoConvoy(t *testing.T) {
	const waiters = 10
	for _, fields := range [][]string{
		{"Cache-Control: max-age=0, stale-if-error=60"},
		{"Cache-Control: max-age=60", "Vary: Accept-Encoding", "Content-Encoding: x-unknown"},
	} {
		var calls atomic.Int64
		release, together := make(chan struct{}), make(chan struct{})
		r := newRig(t, rigOptions{loops: 2, Options: Options{Wait: 2 * patience}}, func(w http.ResponseWriter, _ *http.Request) {
			switch n := calls.Add(1); {
			case n == 1:
				<-release
			case n == 1+waiters:
				close(together)
			default:
				<-together
			}
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				w.Header().Set(name, value)
			}
			fmt.Fprint(w, "page")
		})
		var all sync.WaitGroup
		ask := func() {
			if a, err := r.tryAsk("GET", "/"); err != nil || a.body != "page" {
				t.Errorf("%v %v", a, err)
			}
		}
		all.Go(ask)
		until(t, "the handler runs", func() bool { return calls.Load() == 1 })
		for range waiters {
			all.Go(ask)
		}
		until(t, "the others wait", func() bool { return r.cache.store.waiting.Load() == waiters })
		close(release)
		all.Wait()
		if n := calls.Load(); n != 1+waiters {
			t.Errorf("%v: %d calls", fields, n)
			close(together) // for the handlers that are left
		}
	}
}

// A range of a compressed body may be a range of another form of it: all of it is sent.
func TestRangeOfCompressed(t *testing.T) {
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
		io.WriteString(w, "compressed")
	})
	r.get("/", "compressed")
	if a := r.get("/", "compressed", "Range: bytes=0-1", "If-Range: Mon, 01 Jan 2024 00:00:00 GMT"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}

// A client that does not take its response keeps no others waiting.
func TestBlockedClient(t *testing.T) {
	body := strings.Repeat("x", 4<<20)
	o := Options{Bytes: 64 << 20, EntryBytes: 16 << 20, Wait: 2 * patience}
	var calls atomic.Int64
	r := newRig(t, rigOptions{loops: 2, Options: o}, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, body)
	})
	blocked := r.dialSmall("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	until(t, "the handler runs", func() bool { return calls.Load() == 1 })
	r.get("/", body)
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls", n)
	}
	r.get("/", body)
	if n := calls.Load(); n != 2 {
		t.Errorf("then %d calls", n)
	}
	if got := readBody(t, bufio.NewReader(blocked)); got != body {
		t.Errorf("the client that did not take it: %d bytes", len(got))
	}
}
