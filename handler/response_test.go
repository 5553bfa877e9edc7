package handler

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// Request heads for the tables below.
const (
	get11     = "GET / HTTP/1.1\nHost: a\n\n"
	get11end  = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n"
	get10     = "GET / HTTP/1.0\n\n"
	get10keep = "GET / HTTP/1.0\nConnection: keep-alive\n\n"
	head11    = "HEAD / HTTP/1.1\nHost: a\n\n"
	head10    = "HEAD / HTTP/1.0\n\n"
)

// TestFraming checks the bytes of whole responses. Cases that the loop does not support (streamed) run only on a
// goroutine.
func TestFraming(t *testing.T) {
	status := func(code int) Func { return func(w *Response, r *Request) { w.SetStatus(code) } }
	fields := func(pairs ...string) Func {
		return func(w *Response, r *Request) {
			for i := 0; i < len(pairs); i += 2 {
				if err := w.Add(pairs[i], pairs[i+1]); err != nil {
					panic(err)
				}
			}
			w.WriteString("hello")
		}
	}
	flushed := func(w *Response, r *Request) {
		w.WriteString("hel")
		w.Flush()
		w.Flush()
		w.WriteString("lo")
	}
	for _, c := range []struct {
		name     string
		h        Func
		request  string
		streamed bool
		want     string
		outcome  string
	}{
		{"nothing done", func(w *Response, r *Request) {}, get11, false, "200 OK\nDate: D\nContent-Length: 0\n\n", "keep"},
		{"known length", hello, get11, false, "200 OK\nDate: D\nContent-Length: 5\n\nhello", "keep"},
		{"known length, close", hello, get11end, false, "200 OK\nDate: D\nContent-Length: 5\nConnection: close\n\nhello", "close"},
		{"known length, HTTP/1.0", hello, get10, false, "200 OK\nDate: D\nContent-Length: 5\nConnection: close\n\nhello", "close"},
		{"known length, HTTP/1.0 keep-alive", hello, get10keep, false, "200 OK\nDate: D\nContent-Length: 5\nConnection: keep-alive\n\nhello", "keep"},
		{"known length, HEAD", hello, head11, false, "200 OK\nDate: D\nContent-Length: 5\n\n", "keep"},
		{"known length, HEAD, HTTP/1.0", hello, head10, false, "200 OK\nDate: D\nContent-Length: 5\nConnection: close\n\n", "close"},
		{"HEAD without body", status(200), head11, false, "200 OK\nDate: D\n\n", "keep"},
		{"HEAD, length set", func(w *Response, r *Request) { w.Set("Content-Length", "99") }, head11, false, "200 OK\nDate: D\nContent-Length: 99\n\n", "keep"},
		{"unknown status", status(299), get11, false, "299 \nDate: D\nContent-Length: 0\n\n", "keep"},
		{"status beyond the table", status(999), get11, false, "999 \nDate: D\nContent-Length: 0\n\n", "keep"},
		{"204", status(204), get11, false, "204 No Content\nDate: D\n\n", "keep"},
		{"204, length set", func(w *Response, r *Request) { w.SetStatus(204); w.Set("Content-Length", "0") }, get11, false, "204 No Content\nDate: D\n\n", "keep"},
		{"205", status(205), get11, false, "205 Reset Content\nDate: D\nContent-Length: 0\n\n", "keep"},
		{"426", fields("Connection", "Upgrade", "Upgrade", "TLS/1.0"), get11, false, "200 OK\nDate: D\nUpgrade: TLS/1.0\nContent-Length: 5\nConnection: Upgrade\n\nhello", "keep"},
		{"426, close", fields("upgrade", "x", "connection", "close, upgrade"), get11, false, "200 OK\nDate: D\nupgrade: x\nContent-Length: 5\nConnection: close, Upgrade\n\nhello", "close"},
		{"426, HTTP/1.0", fields("Upgrade", "x", "Connection", "upgrade"), get10keep, false, "200 OK\nDate: D\nUpgrade: x\nContent-Length: 5\nConnection: keep-alive, Upgrade\n\nhello", "keep"},
		{"Upgrade without its option", fields("Upgrade", "x"), get11, false, "200 OK\nDate: D\nUpgrade: x\nContent-Length: 5\n\nhello", "keep"},
		{"option without Upgrade", fields("Upgraded", "x", "Connection", "upgrade"), get11, false, "200 OK\nDate: D\nUpgraded: x\nContent-Length: 5\n\nhello", "keep"},
		{"304", status(304), get11, false, "304 Not Modified\nDate: D\n\n", "keep"},
		{"304, length set", func(w *Response, r *Request) { w.SetStatus(304); w.Set("Content-Length", "7") }, get11, false, "304 Not Modified\nDate: D\nContent-Length: 7\n\n", "keep"},
		{"304, HTTP/1.0 keep-alive", status(304), get10keep, false, "304 Not Modified\nDate: D\nConnection: keep-alive\n\n", "keep"},

		{"fields", fields("Content-Type", "text/html", "X-A", " padded\t", "x-a", "second", "Empty", ""), get11, false,
			"200 OK\nDate: D\nContent-Type: text/html\nX-A: padded\nx-a: second\nEmpty: \nContent-Length: 5\n\nhello", "keep"},
		{"date set", fields("date", "today"), get11, false, "200 OK\ndate: today\nContent-Length: 5\n\nhello", "keep"},
		{"close set", fields("Connection", "Keep-Alive, CLOSE"), get11, false, "200 OK\nDate: D\nContent-Length: 5\nConnection: close\n\nhello", "close"},
		{"keep-alive set", fields("Connection", "keep-alive"), get11, false, "200 OK\nDate: D\nContent-Length: 5\n\nhello", "keep"},
		{"keep-alive set, close asked", fields("Connection", "keep-alive"), get11end, false, "200 OK\nDate: D\nContent-Length: 5\nConnection: close\n\nhello", "close"},
		{"length set", fields("Content-Length", "5"), get11, false, "200 OK\nDate: D\nContent-Length: 5\n\nhello", "keep"},
		{"set and deleted", func(w *Response, r *Request) {
			w.Add("A", "1")
			w.Add("AB", "2")
			w.Add("a", "3")
			w.Add("B", "4")
			w.Set("a", "5")
			w.Del("b")
			w.Add("Date", "x")
			w.Del("Date")
			w.Add("Connection", "close")
			w.Del("Connection")
			w.Add("Content-Length", "9")
			w.Del("Content-Length")
		}, get11, false, "200 OK\nDate: D\nAB: 2\na: 5\nContent-Length: 0\n\n", "keep"},
		{"Connection replaced", func(w *Response, r *Request) {
			w.Set("Connection", "close")
			w.Set("Connection", "x") // not valid: no effect
			w.Set("Connection", "keep-alive")
		}, get11, false, "200 OK\nDate: D\nContent-Length: 0\n\n", "keep"},
		{"Connection replaced by Upgrade", func(w *Response, r *Request) {
			w.Set("Connection", "close")
			w.Set("Upgrade", "x")
			w.Set("Connection", "Upgrade")
		}, get11, false, "200 OK\nDate: D\nUpgrade: x\nContent-Length: 0\nConnection: Upgrade\n\n", "keep"},
		{"Connection set in vain", func(w *Response, r *Request) {
			w.Set("Connection", "close")
			w.Set("Connection", "x")
		}, get11, false, "200 OK\nDate: D\nContent-Length: 0\nConnection: close\n\n", "close"},
		{"Connection added", func(w *Response, r *Request) {
			w.Add("Connection", "close")
			w.Add("Connection", "keep-alive")
		}, get11, false, "200 OK\nDate: D\nContent-Length: 0\nConnection: close\n\n", "close"},
		{"error", func(w *Response, r *Request) {
			w.Add("A", "1")
			w.Add("Content-Length", "9")
			w.WriteString("secret")
			w.Error(403)
		}, get11, false, "403 Forbidden\nDate: D\nContent-Type: text/plain\nContent-Length: 10\n\nForbidden\n", "keep"},

		{"interim", func(w *Response, r *Request) {
			w.Add("Link", "</a>")
			w.WriteString("he")
			w.Interim(103)
			w.Add("B", "1")
			w.Interim(103)
			w.WriteString("llo")
		}, get11, false, "103 Early Hints\nLink: </a>\n\nHTTP/1.1 103 Early Hints\nLink: </a>\nB: 1\n\nHTTP/1.1 200 OK\nDate: D\nLink: </a>\nB: 1\nContent-Length: 5\n\nhello", "keep"},
		{"interim, HTTP/1.0", func(w *Response, r *Request) { w.Interim(103); w.SetStatus(404) }, get10, false, "404 Not Found\nDate: D\nContent-Length: 0\nConnection: close\n\n", "close"},
		{"trailers", func(w *Response, r *Request) {
			w.AddTrailer("A", "1")
			w.WriteString("hello")
			w.AddTrailer("B", "2")
		}, get11, false, "200 OK\nDate: D\nTransfer-Encoding: chunked\n\n5\nhello\n0\nA: 1\nB: 2\n\n", "keep"},
		{"trailers, HTTP/1.0", func(w *Response, r *Request) { w.AddTrailer("A", "1") }, get10keep, false,
			"200 OK\nDate: D\nContent-Length: 0\nConnection: keep-alive\n\n", "keep"},

		{"streamed", flushed, get11, true, "200 OK\nDate: D\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\n\n", "keep"},
		{"streamed, close", flushed, get11end, true, "200 OK\nDate: D\nTransfer-Encoding: chunked\nConnection: close\n\n3\nhel\n2\nlo\n0\n\n", "close"},
		{"streamed, HTTP/1.0", flushed, get10, true, "200 OK\nDate: D\nConnection: close\n\nhello", "close"},
		{"streamed, HTTP/1.0 keep-alive", flushed, get10keep, true, "200 OK\nDate: D\nConnection: close\n\nhello", "close"},
		{"streamed, HEAD", flushed, head11, true, "200 OK\nDate: D\nTransfer-Encoding: chunked\n\n", "keep"},
		{"streamed, length set", func(w *Response, r *Request) { w.Set("Content-Length", "5"); flushed(w, r) }, get11, true,
			"200 OK\nDate: D\nContent-Length: 5\n\nhello", "keep"},
		{"streamed, length set, HTTP/1.0 keep-alive", func(w *Response, r *Request) { w.Set("Content-Length", "5"); flushed(w, r) }, get10keep, true,
			"200 OK\nDate: D\nContent-Length: 5\nConnection: keep-alive\n\nhello", "keep"},
		{"flushed first", func(w *Response, r *Request) { w.Flush() }, get11, true, "200 OK\nDate: D\nTransfer-Encoding: chunked\n\n0\n\n", "keep"},
		{"flushed 204", func(w *Response, r *Request) { w.SetStatus(204); w.Flush() }, get11, true, "204 No Content\nDate: D\n\n", "keep"},
		{"outgrown", func(w *Response, r *Request) { w.WriteString("0123456789abcdefghi") }, get11, true,
			"200 OK\nDate: D\nTransfer-Encoding: chunked\n\n8\n01234567\n8\n89abcdef\n3\nghi\n0\n\n", "keep"},
		{"exactly a part", func(w *Response, r *Request) { w.WriteString("01234567") }, get11, true, "200 OK\nDate: D\nContent-Length: 8\n\n01234567", "keep"},
		{"outgrown, HEAD", func(w *Response, r *Request) { w.WriteString("0123456789") }, head11, true, "200 OK\nDate: D\nTransfer-Encoding: chunked\n\n", "keep"},
		{"streamed with trailers", func(w *Response, r *Request) { flushed(w, r); w.AddTrailer("A", "1") }, get11, true,
			"200 OK\nDate: D\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\nA: 1\n\n", "keep"},
	} {
		check := func(t *testing.T, b backend.Backend) {
			x := attach(t, b).exchange(c.request, "")
			if got, want := x.text(), "HTTP/1.1 "+c.want; got != want || x.outcome() != c.outcome {
				t.Errorf("got  %s %q\nwant %s %q", x.outcome(), got, c.outcome, want)
			}
		}
		t.Run(c.name, func(t *testing.T) {
			check(t, Config{PartMax: 8}.Blocking(c.h, 0))
			if !c.streamed {
				check(t, OnLoop(c.h))
			}
		})
	}
}

// TestMisuse tries what a handler must not do, and checks that it has no effect.
func TestMisuse(t *testing.T) {
	long := strings.Repeat("x", fieldsMax)
	for _, c := range []struct {
		name string
		do   func(w *Response) error
		want error
	}{
		{"status 0", func(w *Response) error { return w.SetStatus(0) }, ErrStatus},
		{"status 100", func(w *Response) error { return w.SetStatus(100) }, ErrStatus},
		{"status 1000", func(w *Response) error { return w.SetStatus(1000) }, ErrStatus},
		{"status without body after body", func(w *Response) error { w.WriteString("x"); return w.SetStatus(204) }, ErrBodiless},
		{"interim 100", func(w *Response) error { return w.Interim(100) }, ErrStatus},
		{"interim 101", func(w *Response) error { return w.Interim(101) }, ErrStatus},
		{"interim 200", func(w *Response) error { return w.Interim(200) }, ErrStatus},
		{"error 200", func(w *Response) error { return w.Error(200) }, ErrStatus},
		{"name empty", func(w *Response) error { return w.Add("", "x") }, httpwrite.ErrFieldName},
		{"name with blank", func(w *Response) error { return w.Add("a b", "x") }, httpwrite.ErrFieldName},
		{"name with colon", func(w *Response) error { return w.Add("a:b", "x") }, httpwrite.ErrFieldName},
		{"name with CR", func(w *Response) error { return w.Set("a\r", "x") }, httpwrite.ErrFieldName},
		{"value with CR", func(w *Response) error { return w.Add("a", "x\ry") }, httpwrite.ErrFieldValue},
		{"value with LF", func(w *Response) error { return w.Add("a", "x\ny") }, httpwrite.ErrFieldValue},
		{"value with NUL", func(w *Response) error { return w.Set("a", "x\x00y") }, httpwrite.ErrFieldValue},
		{"value with CR LF", func(w *Response) error { return w.Add("a", "x\r\nB: y") }, httpwrite.ErrFieldValue},
		{"value ends with LF", func(w *Response) error { return w.Add("a", "x\n") }, httpwrite.ErrFieldValue},
		{"value too long", func(w *Response) error { return w.Add("a", long) }, ErrFieldsTooLarge},
		{"Transfer-Encoding", func(w *Response) error { return w.Add("transfer-encoding", "chunked") }, ErrFieldReserved},
		{"Connection: x", func(w *Response) error { return w.Add("Connection", "close, upgrade, x") }, ErrFieldReserved},
		{"Connection: upgrade without Upgrade", func(w *Response) error { return w.Add("Connection", "upgrade") }, nil},
		{"Connection: upgrade, deleted", func(w *Response) error {
			w.Add("Connection", "upgrade")
			w.Set("Upgrade", "x")
			w.Del("Upgrade")
			return w.Del("Connection")
		}, nil},
		{"Content-Length: x", func(w *Response) error { return w.Set("Content-Length", "x") }, httpwrite.ErrFieldValue},
		{"Content-Length: -1", func(w *Response) error { return w.Set("Content-Length", "-1") }, httpwrite.ErrFieldValue},
		{"Content-Length: +1", func(w *Response) error { return w.Set("Content-Length", "+1") }, httpwrite.ErrFieldValue},
		{"Content-Length empty", func(w *Response) error { return w.Set("Content-Length", "") }, httpwrite.ErrFieldValue},
		{"Content-Length huge", func(w *Response) error { return w.Set("Content-Length", "9223372036854775808") }, httpwrite.ErrFieldValue},
		{"Content-Length below what is written", func(w *Response) error { w.WriteString("xy"); return w.Set("Content-Length", "1") }, ErrLength},
		{"two Content-Lengths", func(w *Response) error { w.Add("Content-Length", "5"); return w.Add("Content-Length", "6") }, httpwrite.ErrFieldValue},
		{"trailer about framing", func(w *Response) error { return w.AddTrailer("content-length", "1") }, ErrFieldReserved},
		{"trailer with LF", func(w *Response) error { return w.AddTrailer("a", "\n") }, httpwrite.ErrFieldValue},
		{"trailer too long", func(w *Response) error { return w.AddTrailer("a", long) }, ErrFieldsTooLarge},
		{"too much body", func(w *Response) error {
			w.Set("Content-Length", "5")
			_, err := w.WriteString("123456")
			return err
		}, ErrLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := attach(t, OnLoop(Func(func(w *Response, r *Request) {
				if err := c.do(w); err != c.want {
					t.Errorf("got %v, want %v", err, c.want)
				}
				w.WriteString("hello"[w.written:])
			}))).exchange(get11, "")
			if res, body := x.response("GET"); res.StatusCode != 200 || len(body) != 5 || len(res.Header) != 2 {
				t.Errorf("got %q", x.text())
			}
		})
	}
	t.Run("body where none may be", func(t *testing.T) {
		x := attach(t, OnLoop(Func(func(w *Response, r *Request) {
			w.SetStatus(204)
			if n, err := w.WriteString("x"); n != 0 || err != ErrBodiless {
				t.Errorf("wrote %d: %v", n, err)
			}
		}))).exchange(get11, "")
		if x.text() != "HTTP/1.1 204 No Content\nDate: D\n\n" {
			t.Errorf("got %q", x.text())
		}
	})
	t.Run("after the head", func(t *testing.T) {
		x := attach(t, Blocking(Func(func(w *Response, r *Request) {
			w.Flush()
			for name, err := range map[string]error{
				"SetStatus": w.SetStatus(404), "Add": w.Add("a", "b"), "Set": w.Set("a", "b"), "Del": w.Del("a"),
				"Interim": w.Interim(103), "Error": w.Error(500),
			} {
				if err != ErrHeadSent {
					t.Errorf("%s: %v", name, err)
				}
			}
		}), 0)).exchange(get11, "")
		if x.text() != "HTTP/1.1 200 OK\nDate: D\nTransfer-Encoding: chunked\n\n0\n\n" {
			t.Errorf("got %q", x.text())
		}
	})
}

// A Response or Request that a handler has kept has no effect after Serve.
func TestAfterServe(t *testing.T) {
	for name, make := range map[string]func(Handler) backend.Backend{
		"loop":     OnLoop,
		"blocking": func(h Handler) backend.Backend { return Blocking(h, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			var kept *Response
			var request *Request
			b := attach(t, make(Func(func(w *Response, r *Request) { kept, request = w, r })))
			x := b.exchange(get11, "")
			out := len(x.out)
			_, writeErr := kept.Write([]byte("x"))
			for what, err := range map[string]error{
				"SetStatus": kept.SetStatus(404), "Add": kept.Add("a", "b"), "Set": kept.Set("a", "b"), "Del": kept.Del("a"),
				"Interim": kept.Interim(103), "Error": kept.Error(500), "Write": writeErr, "Flush": kept.Flush(),
				"AddTrailer": kept.AddTrailer("a", "b"),
			} {
				if err != ErrEnded {
					t.Errorf("%s: %v", what, err)
				}
			}
			if n, err := request.Read([]byte("x")); n != 0 || err != ErrEnded {
				t.Errorf("Read: %d %v", n, err)
			}
			if request.Context().Err() == nil {
				t.Error("the context goes on")
			}
			for range request.Trailers() {
				t.Error("there are trailers")
			}
			b.turn(nil)
			if len(x.out) != out {
				t.Error("something was sent")
			}
		})
	}
}

// A handler that keeps what it got cannot reach the exchanges that follow, not even while the next handler runs.
func TestKeptForTheNextExchange(t *testing.T) {
	for name, make := range map[string]func(Handler) backend.Backend{
		"loop":     OnLoop,
		"blocking": func(h Handler) backend.Backend { return Blocking(h, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			var kept []*Response
			var requests []*Request
			b := attach(t, make(Func(func(w *Response, r *Request) {
				for i, old := range kept {
					if n, err := old.WriteString("SECRET"); n != 0 || err != ErrEnded {
						t.Errorf("Write: %d, %v", n, err)
					}
					if err := old.Set("A", "SECRET"); err != ErrEnded {
						t.Errorf("Set: %v", err)
					}
					if err := old.Flush(); err != ErrEnded {
						t.Errorf("Flush: %v", err)
					}
					if got := requests[i].Path(); string(got) == string(r.Path()) {
						t.Errorf("an earlier request has become /%s", got)
					}
					if _, err := requests[i].Body(10); err != ErrEnded {
						t.Errorf("Body: %v", err)
					}
				}
				kept, requests = append(kept, w), append(requests, r)
				w.Write(r.Path())
			})))
			for i := range 5 {
				path := string(rune('a' + i))
				x := b.exchange("POST /"+path+" HTTP/1.1\nHost: a\nContent-Length: 3\n\n", "abc")
				if _, body := x.response("POST"); body != path || strings.Contains(x.text(), "SECRET") {
					t.Errorf("%q", x.text())
				}
			}
		})
	}
}

// FuzzFields lets a handler set any field, and checks that net/http reads one response with only that field.
func FuzzFields(f *testing.F) {
	f.Add("Name", "value", "body")
	f.Add("A", "x\r\n\r\nHTTP/1.1 200 OK", "")
	f.Add("Content-Length", "3", "abcdef")
	f.Add("Connection", "close, keep-alive", "0\r\n\r\n")
	f.Add("X", "\u00e4\t\x7f", "x")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	f.Fuzz(func(t *testing.T, name, value, body string) {
		var err error
		x := attach(t, Config{Logger: log}.OnLoop(Func(func(w *Response, r *Request) {
			err = w.Set(name, value)
			w.WriteString(body)
		}))).exchange(get11, "")
		if x.failed != 0 {
			if !strings.EqualFold(name, "Content-Length") {
				t.Fatalf("failed with %d", x.failed)
			}
			return
		}
		in := bufio.NewReader(bytes.NewReader(x.out))
		res, rerr := http.ReadResponse(in, nil)
		if rerr != nil {
			t.Fatalf("%v in %q", rerr, x.out)
		}
		got, rerr := io.ReadAll(res.Body)
		if rerr != nil || string(got) != body && err == nil && !strings.EqualFold(name, "Content-Length") {
			t.Fatalf("body %q: %v", got, rerr)
		}
		if _, rerr := in.ReadByte(); !errors.Is(rerr, io.EOF) {
			t.Fatalf("bytes after the response: %q", x.out)
		}
		if len(res.Header) > 3 || err != nil && len(res.Header) > 2 {
			t.Fatalf("fields: %q", res.Header)
		}
	})
}

// Handlers that have kept their Responses share nothing.
func TestSetAfterServe(t *testing.T) {
	var kept []*Response
	b := attach(t, OnLoop(Func(func(w *Response, r *Request) { kept = append(kept, w) })))
	b.exchange(get, "")
	b.exchange(get, "")
	var all sync.WaitGroup
	for _, w := range kept {
		all.Go(func() {
			for _, name := range []string{"X", "Content-Length"} {
				if err := w.Set(name, "1"); err != ErrEnded {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	all.Wait()
}
