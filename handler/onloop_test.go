package handler

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

const get = "GET /hello HTTP/1.1\nHost: a\n\n"

var hello = Func(func(w *Response, r *Request) { w.WriteString("hello") })

// echo answers with the request's body.
var echo = Func(func(w *Response, r *Request) {
	body, err := r.Body(1 << 20)
	if err != nil {
		fmt.Fprintf(w, "error: %v", err)
		return
	}
	w.Write(body)
})

func TestOnLoopHello(t *testing.T) {
	b := attach(t, OnLoop(hello))
	c := b.exchange(get, "")
	want := "HTTP/1.1 200 OK\nDate: D\nContent-Length: 5\n\nhello"
	if got := c.text(); got != want || c.outcome() != "keep" || c.offers != 1 {
		t.Errorf("%s after %d offers: %q", c.outcome(), c.offers, got)
	}
}

// All exchanges of a turn are completed at the end of the turn, each with its own bytes.
func TestOnLoopBatch(t *testing.T) {
	b := attach(t, OnLoop(Func(func(w *Response, r *Request) {
		w.Write(r.Path())
		w.Write(r.Field("x"))
	})))
	var conns []*fakeConn
	b.turn(func() {
		for i := range 8202 { // more than two turns complete
			c := &fakeConn{t: t, l: b.fakeLoop, takes: -1}
			if err := b.startIn(c, fmt.Sprintf("GET /%d HTTP/1.1\nHost: a\nX: %d\n\n", i, i*i), "", false); err != nil {
				t.Fatal(err)
			}
			if c.offers > 0 {
				t.Fatal("output within Start")
			}
			conns = append(conns, c)
		}
	})
	for i, c := range conns {
		if want := fmt.Sprintf("\n\n%d%d", i, i*i); !strings.HasSuffix(c.text(), want) || c.outcome() != "keep" {
			t.Fatalf("%d: %s %q", i, c.outcome(), c.text())
		}
	}
}

// A connection that starts its next exchange within Done is served in the same turn.
func TestOnLoopStartInDone(t *testing.T) {
	b := attach(t, OnLoop(hello))
	p := &pipeliner{fakeConn: fakeConn{t: t, l: b.fakeLoop, takes: -1, started: true}, b: b, left: 12289}
	b.turn(p.next)
	if p.left != 0 || strings.Count(string(p.out), "hello") != 12289 {
		t.Errorf("%d left", p.left)
	}
}

type pipeliner struct {
	fakeConn
	b    *fakeBackend
	left int
}

func (p *pipeliner) next() {
	p.left--
	if _, err := p.b.lb.Start(p, parse(p.t, get), 0, nil, false); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeliner) Done(backend.End) {
	p.lastSeen = false
	if p.left > 0 {
		p.next()
	}
}

func TestOnLoopBodySplitEverywhere(t *testing.T) {
	const body = "0123456789"
	for _, head := range []string{
		"POST / HTTP/1.1\nHost: a\nContent-Length: 10\n\n",
		"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n",
	} {
		b := attach(t, OnLoop(echo))
		for i := range len(body) + 1 {
			for j := i; j <= len(body); j++ {
				c := b.start(-1, head, body[:i], true)
				c.send([]byte(body[i:j]))
				c.send([]byte(body[j:]))
				if c.offers > 0 {
					t.Fatal("output before the end of the body")
				}
				b.turn(func() { c.running.BodyEnd() })
				if !strings.HasSuffix(c.text(), "Content-Length: 10\n\n"+body) || c.outcome() != "keep" {
					t.Fatalf("cut at %d and %d: %s %q", i, j, c.outcome(), c.text())
				}
			}
		}
	}
}

// The largest number is no bound.
func TestOnLoopBodyMaxInt(t *testing.T) {
	b := attach(t, Config{BodyMax: math.MaxInt}.OnLoop(echo))
	c := b.start(-1, "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n", "", true)
	c.send([]byte("hello"))
	b.turn(func() { c.running.BodyEnd() })
	if _, body := c.response("POST"); body != "hello" {
		t.Errorf("%q", body)
	}
}

func TestOnLoopBodyTooLarge(t *testing.T) {
	const max = 100
	backend := func() backend.Backend { return Config{BodyMax: max}.OnLoop(echo) }
	chunked := "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"

	t.Run("announced", func(t *testing.T) {
		b := attach(t, backend())
		c := b.start(-1, "POST / HTTP/1.1\nHost: a\nContent-Length: 101\n\n", "abc", true)
		if c.outcome() != "failed 413" {
			t.Error(c.outcome())
		}
	})
	t.Run("there", func(t *testing.T) {
		b := attach(t, backend())
		c := b.start(-1, chunked, strings.Repeat("x", max+1), false)
		if c.outcome() != "failed 413" {
			t.Error(c.outcome())
		}
	})
	t.Run("chunked", func(t *testing.T) {
		b := attach(t, backend())
		c := b.start(-1, chunked, "", true)
		c.send(bytes.Repeat([]byte("x"), max))
		if c.outcome() != "open" {
			t.Fatal(c.outcome())
		}
		c.send([]byte("x"))
		if c.outcome() != "failed 413" {
			t.Error(c.outcome())
		}
	})
	t.Run("exactly", func(t *testing.T) {
		b := attach(t, backend())
		c := b.start(-1, chunked, "", true)
		c.send(bytes.Repeat([]byte("x"), max))
		b.turn(func() { c.running.BodyEnd() })
		if _, body := c.response("POST"); len(body) != max {
			t.Errorf("%d bytes", len(body))
		}
	})
	t.Run("none at all", func(t *testing.T) {
		b := attach(t, Config{BodyMax: -1}.OnLoop(echo))
		if c := b.exchange(get, ""); c.outcome() != "keep" {
			t.Error(c.outcome())
		}
		c := b.start(-1, chunked, "", true)
		c.send([]byte("x"))
		if c.outcome() != "failed 413" {
			t.Error(c.outcome())
		}
	})
}

func TestOnLoopBodyAbort(t *testing.T) {
	for tooLarge, want := range map[bool]string{false: "failed 400", true: "failed 413"} {
		b := attach(t, OnLoop(echo))
		c := b.start(-1, "POST / HTTP/1.1\nHost: a\nContent-Length: 10\n\n", "abc", true)
		b.turn(func() { c.running.BodyAbort(tooLarge) })
		if c.outcome() != want {
			t.Errorf("%s, want %s", c.outcome(), want)
		}
	}
}

func TestOnLoopExpectContinue(t *testing.T) {
	b := attach(t, OnLoop(echo))
	c := b.start(-1, "POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 3\n\n", "", true)
	if c.wanted != 1 {
		t.Errorf("BodyWanted called %d times", c.wanted)
	}
	c.send([]byte("abc"))
	b.turn(func() { c.running.BodyEnd() })
	if c.outcome() != "keep" || c.wanted != 1 {
		t.Error(c.outcome())
	}
}

// A slow peer takes the response byte by byte, while others are served from the same buffer.
func TestOnLoopSlowPeer(t *testing.T) {
	b := attach(t, OnLoop(Func(func(w *Response, r *Request) { fmt.Fprintf(w, "body of %s", r.Path()) })))
	var slow []*fakeConn
	for i := range 100 {
		slow = append(slow, b.start(i, fmt.Sprintf("GET /%d HTTP/1.1\nHost: a\n\n", i), "", false))
	}
	for i, c := range slow {
		for !c.over {
			c.take(1 + i%3)
		}
		want := fmt.Sprintf("body of %d", i)
		if _, body := c.response("GET"); body != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
}

func TestOnLoopCancel(t *testing.T) {
	post := "POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\n"
	for _, phase := range []struct {
		name string
		run  func(b *fakeBackend) *fakeConn
	}{
		{"in the turn of its start", func(b *fakeBackend) *fakeConn {
			c := &fakeConn{t: b.t, l: b.fakeLoop, takes: -1}
			b.turn(func() {
				b.startIn(c, get, "", false)
				c.cancel()
			})
			return c
		}},
		{"before the body is complete", func(b *fakeBackend) *fakeConn {
			c := b.start(-1, post, "a", true)
			b.turn(c.cancel)
			return c
		}},
		{"in the turn in which the body is complete", func(b *fakeBackend) *fakeConn {
			c := b.start(-1, post, "abc", true)
			b.turn(func() {
				c.running.BodyEnd()
				c.cancel()
			})
			return c
		}},
		{"after it was refused", func(b *fakeBackend) *fakeConn {
			c := &fakeConn{t: b.t, l: b.fakeLoop, takes: -1}
			b.turn(func() {
				b.startIn(c, "POST / HTTP/1.1\nHost: a\nContent-Length: 9999999\n\n", "", true)
				c.cancel()
			})
			return c
		}},
		{"with output left", func(b *fakeBackend) *fakeConn {
			c := b.start(10, get, "", false)
			b.turn(c.cancel)
			return c
		}},
		{"within Output", func(b *fakeBackend) *fakeConn {
			c := &fakeConn{t: b.t, l: b.fakeLoop, takes: 5, hook: (*fakeConn).cancel}
			b.turn(func() { b.startIn(c, get, "", false) })
			return c
		}},
		{"within Output of the rest", func(b *fakeBackend) *fakeConn {
			c := b.start(5, get, "", false)
			c.hook = (*fakeConn).cancel
			c.take(5)
			return c
		}},
	} {
		t.Run(phase.name, func(t *testing.T) {
			b := attach(t, OnLoop(echo))
			for range 3 {
				c := phase.run(b)
				if c.outcome() != "cancelled" {
					t.Error(c.outcome())
				}
				// An exchange that was put back is reused once.
				x, y := b.start(-1, post, "x", true), b.start(-1, post, "y", true)
				x.send([]byte("xx"))
				y.send([]byte("yy"))
				b.turn(func() { y.running.BodyEnd(); x.running.BodyEnd() })
				if _, body := x.response("POST"); body != "xxx" {
					t.Errorf("got %q", body)
				}
				if _, body := y.response("POST"); body != "yyy" {
					t.Errorf("got %q", body)
				}
			}
			checkFree(t, b.lb.(*onLoopBackend))
		})
	}
}

// checkFree checks the list of exchanges kept for reuse: none is in it twice, and their number is that counted.
func checkFree(t *testing.T, l *onLoopBackend) {
	t.Helper()
	seen := map[*loopExchange]bool{}
	for e := l.free; e != nil; e = e.next {
		if seen[e] {
			t.Fatal("an exchange was put back twice")
		}
		seen[e] = true
		if e.state != loopFree || e.x != nil {
			t.Error("an exchange in use was put back")
		}
	}
	if len(seen) != l.frees || len(seen) == 0 {
		t.Errorf("%d exchanges kept, counted %d", len(seen), l.frees)
	}
	if len(l.turn) != 0 || len(l.bytes) != 0 {
		t.Errorf("%d exchanges and %d bytes left over from the turn", len(l.turn), len(l.bytes))
	}
}

func TestOnLoopFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		h     Func
		lines int
		words []string
	}{
		{"panic", func(w *Response, r *Request) { w.WriteString("x"); panic("the cause") }, 1, []string{"the cause", "onloop_test.go", "hello"}},
		{"abort", func(w *Response, r *Request) { panic(http.ErrAbortHandler) }, 0, nil},
		{"short", func(w *Response, r *Request) { w.Set("Content-Length", "3"); w.WriteString("ab") }, 1, []string{causeShort}},
		{"large", func(w *Response, r *Request) { w.Write(make([]byte, 101)) }, 1, []string{causeTooLarge}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logLines
			h := Func(func(w *Response, r *Request) {
				if string(r.Path()) == "hello" {
					c.h(w, r)
				}
			})
			b := attach(t, Config{ResponseMax: 100, Logger: slog.New(&log)}.OnLoop(h))
			want := "failed 500"
			if c.name == "abort" {
				want = "reset"
			}
			if x := b.exchange(get, ""); x.outcome() != want || len(x.out) > 0 {
				t.Errorf("%s %q", x.outcome(), x.out)
			}
			log.expect(t, c.lines, c.words...)
			if x := b.exchange("GET / HTTP/1.1\nHost: a\n\n", ""); x.text() != "HTTP/1.1 200 OK\nDate: D\nContent-Length: 0\n\n" {
				t.Errorf("the next exchange: %q", x.text())
			}
			checkFree(t, b.lb.(*onLoopBackend))
		})
	}
}

func TestOnLoopRequest(t *testing.T) {
	var got []string
	note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	b := attach(t, OnLoop(Func(func(w *Response, r *Request) {
		note("%s|%s|%s|%s|%s", r.Method(), r.Target(), r.Path(), r.Query(), r.Host())
		note("%d %d %d %v %s", r.Minor(), r.ContentLength(), r.Listener(), r.Asterisk(), r.RemoteAddr())
		for name, value := range r.Fields() {
			note("%s=%s", name, value)
		}
		note("%s %v", r.Field("x-TWICE"), r.Field("missing") == nil)
		two := make([]byte, 2)
		n, err := r.Read(two)
		note("%s %v", two[:n], err)
		_, err = r.Body(3)
		note("%v", err)
		rest, err := r.Body(4)
		note("%s %v", rest, err)
		_, err = r.Read(two)
		note("%v", err)
		if r.Context().Err() != nil {
			t.Error("context is done")
		}
	})))
	b.exchange("POST /a/b?c=d HTTP/1.0\nHost: h:80\nX-Twice: 1\nx-twice: 2\nContent-Length: 6\n\n", "012345")
	b.exchange("OPTIONS * HTTP/1.1\nHost: h\n\n", "")
	want := []string{
		"POST|/a/b?c=d|a/b|c=d|h:80", "0 6 3 false 192.0.2.1:1234",
		"Host=h:80", "X-Twice=1", "x-twice=2", "Content-Length=6", "1 true", "01 <nil>", "request body too large", "2345 <nil>", "EOF",
		"OPTIONS|*|||h", "1 0 3 true 192.0.2.1:1234", "Host=h", " true",
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// quietConn takes everything and allocates nothing.
type quietConn struct{ bytes, done int }

func (c *quietConn) Output(a, b []byte, last bool) int {
	c.bytes += len(a) + len(b)
	return len(a) + len(b)
}
func (c *quietConn) Done(backend.End)                      { c.done++ }
func (c *quietConn) Complete(backend.Running, backend.End) {}
func (c *quietConn) Left(backend.Running)                  {}
func (c *quietConn) Failed(int, time.Duration)             {}
func (c *quietConn) BodyRoom()                             {}
func (c *quietConn) BodyWanted()                           {}
func (c *quietConn) Addrs() (local, remote netip.AddrPort) { return local, remote }

func TestOnLoopAllocatesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		h    Func
		head string
		body string
		more bool
	}{
		{"hello", hello, get, "", false},
		{"fields", func(w *Response, r *Request) {
			w.SetStatus(404)
			w.Set("Content-Type", "text/html")
			w.Set("X-A", "b")
			for name, value := range r.Fields() {
				w.Write(name)
				w.Write(value)
			}
			w.Write(r.Field("x-some-field"))
		}, "GET /hello HTTP/1.1\nHost: a\nX-Some-Field: b\n\n", "", false},
		{"body", echo, "POST / HTTP/1.1\nHost: a\nContent-Length: 1000\n\n", strings.Repeat("x", 1000), false},
		{"body later", echo, "POST / HTTP/1.1\nHost: a\nContent-Length: 1000\n\n", strings.Repeat("x", 900), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newFakeLoop(t)
			lb, err := OnLoop(c.h).Attach(l)
			if err != nil {
				t.Fatal(err)
			}
			head := parse(t, c.head)
			body := []byte(c.body)
			x := new(quietConn)
			run := func() {
				for range 16 {
					r, err := lb.Start(x, head, 0, body, c.more)
					if err != nil {
						t.Fatal(err)
					}
					for n := len(body); c.more && n < int(head.ContentLength); {
						room, _ := r.BodyRoom()
						some := min(len(room), int(head.ContentLength)-n)
						r.BodyCommit(some)
						n += some
					}
					if c.more {
						r.BodyEnd()
					}
				}
				lb.(backend.Turn).EndTurn()
			}
			run()
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%v allocations in 16 exchanges", n)
			}
			if x.done != 16*102 {
				t.Errorf("%d exchanges done", x.done)
			}
		})
	}
}

func BenchmarkOnLoopHello(b *testing.B) {
	l := &fakeLoop{}
	lb, _ := OnLoop(hello).Attach(l)
	raw := []byte("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
	var p httpparse.Parser
	head := new(httpparse.Head)
	if _, err := p.Parse(head, raw, nil); err != nil {
		b.Fatal(err)
	}
	x := new(quietConn)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		lb.Start(x, head, 0, nil, false)
		if i%16 == 0 {
			lb.(backend.Turn).EndTurn()
		}
	}
}

// A client that has finished sending before its handler runs is no news: Done says so from the start, to each Later.
func TestLaterAfterPeerEnd(t *testing.T) {
	done := func(l *Later) bool {
		select {
		case <-l.Done():
			return true
		default:
			return false
		}
	}
	var first, second *Later
	known := false
	b := attach(t, OnLoop(Func(func(w *Response, r *Request) {
		first = r.Later()
		known = done(first)
		first.Do(func(w *Response, r *Request) {
			second = r.Later()
			second.Do(func(w *Response, r *Request) { w.WriteString("hello") })
		})
	})))
	c := b.start(-1, "POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\n", "a", true)
	b.turn(func() { c.running.PeerEnd() })
	c.send([]byte("b"))
	b.turn(func() {
		c.running.BodyEnd()
		if !known {
			t.Error("the first one does not know that the client has finished sending")
		}
	})
	b.turn(func() {
		if !done(second) {
			t.Error("the second one does not know it")
		}
	})
	b.until("the end of the exchange", func() bool { return c.over })
	if !strings.HasSuffix(c.text(), "hello") {
		t.Errorf("response %q", c.text())
	}
	// The next exchange in the same memory knows nothing of that.
	d := b.start(-1, "POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\n", "ab", false)
	if known {
		t.Error("it is known of the next client too")
	}
	b.until("the end of the exchange", func() bool { return d.over })
}

// What a turn collects of responses is bounded, as far as clients send requests without waiting: then few of one connection are taken.
func TestOnLoopOverlap(t *testing.T) {
	for _, c := range []struct {
		size, exchanges int
		least, most     int
	}{
		{100, 1, 16, math.MaxInt},
		{100, 500, 16, math.MaxInt},
		{512 << 10, 1, 2, 8},
		{1 << 20, 1, 1, 4},
		{512 << 10, 20, 1, 1},
		{1000, 10_000, 1, 1},
	} {
		b := attach(t, OnLoop(Func(func(w *Response, r *Request) { w.Write(make([]byte, c.size)) })))
		b.turn(func() {
			for range c.exchanges {
				if err := b.startIn(&fakeConn{t: t, l: b.fakeLoop, takes: -1}, "GET / HTTP/1.1\nHost: a\n\n", "", false); err != nil {
					t.Fatal(err)
				}
			}
			n := math.MaxInt
			if o, bounds := b.lb.(backend.Overlapping); bounds {
				n = o.Overlap()
			}
			if n < c.least || n > c.most {
				t.Errorf("%d responses of %d bytes: %d may be in progress; want %d to %d", c.exchanges, c.size, n, c.least, c.most)
			}
		})
		if o, bounds := b.lb.(backend.Overlapping); bounds && o.Overlap() < 16 {
			t.Errorf("%d after the turn", o.Overlap())
		}
	}
}
