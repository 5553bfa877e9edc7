package cache

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
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

// A worker that changes its output after the head has been parsed changes nothing of what is kept and sent: otherwise the text could
// have the end of a head in it, and another response after it.
func TestHeadIsCopied(t *testing.T) {
	for _, cut := range []int{0, 1, 30, 87} { // 87 is all of it
		good := "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\nX-Mark: aaaaaaaa\r\n\r\n"
		evil := strings.Replace(good, "X-Mark: aaaaaaaa", "A:\r\n\r\nHTTP/1.1 2", 1)
		out := []byte(good + "page")
		l := &changingLoop{change: func() {}}
		c := New(nil, Options{})
		inner := new(heldBackend)
		part := &loop{c: c, store: c.store, on: l, Wrapped: backend.Wrap(inner)}
		head := parseRequest(t, "GET /page", "Host: example.com")
		first, second := new(keepingExchange), new(keepingExchange)
		if _, err := part.Start(first, head, 0, nil, false); err != nil {
			t.Fatal(err)
		}
		changed := false
		l.change = func() {
			copy(out, evil)
			changed = true
		}
		if n := inner.x.Output(out[:cut], out[cut:], true); n != len(out) {
			t.Fatalf("%d bytes were taken", n)
		}
		if !changed {
			t.Fatal("the clock was not read")
		}
		inner.x.Done(backend.EndKeep)
		if _, err := part.Start(second, head, 0, nil, false); err != nil {
			t.Fatal(err)
		}
		part.EndTurn()
		if string(first.got) != good+"page" {
			t.Errorf("cut at %d: the first client got %q", cut, first.got)
		}
		got := string(second.got)
		if !strings.Contains(got, "X-Mark: aaaaaaaa\r\n") || strings.Count(got, "HTTP/1.1") != 1 || !strings.HasSuffix(got, "\r\n\r\npage") {
			t.Errorf("cut at %d: the second client got %q", cut, got)
		}
	}
}

// changingLoop is a loop on which a worker does something when the clock is read.
type changingLoop struct {
	backend.Loop
	change func()
}

func (l *changingLoop) Now() int64 {
	l.change()
	return 0
}

// heldBackend keeps the exchange, for the test to answer.
type heldBackend struct{ x backend.Exchange }

func (b *heldBackend) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.x = x
	return &senderRun{x: x}, nil
}

// keepingExchange keeps what its client gets.
type keepingExchange struct {
	countingExchange
	got []byte
}

func (x *keepingExchange) Output(a, b []byte, last bool) int {
	x.got = append(append(x.got, a...), b...)
	return len(a) + len(b)
}
