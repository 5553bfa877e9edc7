package cache

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/httpparse"
)

// A response that may be kept answers the next requests, with its age.
func TestHit(t *testing.T) {
	h, calls := counter("Cache-Control: s-maxage=10")
	r := newRig(t, rigOptions{}, h)
	r.get("/a?b", "1")
	r.pass(3 * time.Second)
	a := r.get("/a?b", "1")
	if age := a.header.Get("Age"); age != "3" {
		t.Errorf("Age: %s", age)
	}
	if len(a.header.Values("Date")) != 1 || a.header.Get("Content-Type") == "" || a.header.Get("Content-Length") != "1" {
		t.Errorf("fields: %v", a.header)
	}
	if a := r.ask("HEAD", "/a?b"); a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "1" || calls.Load() != 1 {
		t.Errorf("HEAD: %v, %d calls", a, calls.Load())
	}
	r.get("/a?c", "2")
	r.get("/A?b", "3")
	r.pass(8 * time.Second)
	r.get("/a?b", "4")
}

// 200 clients that come together cause one call of the handler.
func TestStampede(t *testing.T) {
	const clients = 200
	var calls atomic.Int64
	release := make(chan struct{})
	r := newRig(t, rigOptions{loops: 2}, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		<-release
		w.Header().Set("Cache-Control", "s-maxage=60")
		w.Write([]byte("page"))
	})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if a, err := r.tryAsk("GET", "/"); err != nil || a.body != "page" {
				t.Errorf("%v %v", a, err)
			}
		})
	}
	until(t, "all but one wait", func() bool { return r.cache.store.waiting.Load() == clients-1 })
	close(release)
	all.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// Those that have waited for a response that is not kept go on at once, and later ones do not wait.
func TestUncacheableReleases(t *testing.T) {
	const clients = 20
	var calls atomic.Int64
	first, others := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{loops: 2}, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			<-first
		} else {
			<-others
		}
		fmt.Fprint(w, "own")
	})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { r.get("/", "own") })
	}
	until(t, "all but one wait", func() bool { return r.cache.store.waiting.Load() == clients-1 })
	close(first)
	until(t, "all are in their handlers", func() bool { return calls.Load() == clients })
	all.Go(func() { r.get("/", "own") })
	until(t, "the next one is too", func() bool { return calls.Load() == clients+1 })
	close(others)
	all.Wait()
}

// A request waits for a bounded time.
func TestWaitEnds(t *testing.T) {
	var calls atomic.Int64
	release := make(chan struct{})
	r := newRig(t, rigOptions{Options: Options{Wait: time.Millisecond}}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "s-maxage=60")
		if calls.Add(1) == 1 {
			<-release
		}
		fmt.Fprint(w, "page")
	})
	var all sync.WaitGroup
	all.Go(func() { r.get("/", "page") })
	until(t, "the first is in its handler", func() bool { return calls.Load() == 1 })
	r.get("/", "page")
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
	close(release)
	all.Wait()
}

// A stale response answers at once, and is refreshed once.
func TestStaleWhileRevalidate(t *testing.T) {
	var calls atomic.Int64
	release := make(chan struct{})
	r := newRig(t, rigOptions{logs: true}, func(w http.ResponseWriter, _ *http.Request) {
		n := calls.Add(1)
		if n == 2 {
			<-release
		}
		w.Header().Set("Cache-Control", "s-maxage=1, stale-while-revalidate=100")
		fmt.Fprint(w, n)
	})
	r.get("/", "1")
	r.pass(5 * time.Second)
	for range 3 {
		r.get("/", "1")
	}
	close(release)
	until(t, "it is refreshed", func() bool { return r.ask("GET", "/").body == "2" })
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls", n)
	}
	for i, want := range []string{"MISS", "STALE", "STALE", "STALE"} {
		if a := <-r.log; a.Cache != want {
			t.Errorf("exchange %d is logged as %q instead of %q", i, a.Cache, want)
		}
	}
}

// A stale response answers if the handler fails, and the handler is left alone for a moment.
func TestStaleIfError(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, req *http.Request) {
		switch calls.Add(1) {
		case 1:
			w.Header().Set("Cache-Control", "max-age=1, stale-if-error=100")
			fmt.Fprint(w, "good")
		case 2:
			w.WriteHeader(503)
			fmt.Fprint(w, "bad")
		case 3:
			panic("bad")
		default:
			fmt.Fprint(w, "new")
		}
	})
	r.get("/", "good")
	r.pass(5 * time.Second)
	r.get("/", "good")
	r.get("/", "good")
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls at once", n)
	}
	r.pass(2 * time.Second)
	r.get("/", "good")
	r.pass(2 * time.Second)
	r.get("/", "new")
	if n := calls.Load(); n != 4 {
		t.Errorf("%d calls", n)
	}
	r.get("/", "new")
}

// What is stale and has a validator is validated. The handler answers 304, and what is kept is fresh again.
func TestRevalidation(t *testing.T) {
	var calls, unchanged atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, req *http.Request) {
		calls.Add(1)
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=10")
		w.Header().Set("X-Call", fmt.Sprint(calls.Load()))
		if req.Header.Get("If-None-Match") == `"1"` {
			unchanged.Add(1)
			w.WriteHeader(304)
			return
		}
		fmt.Fprint(w, "page")
	})
	r.get("/", "page", `If-None-Match: "0"`)
	if a := r.ask("GET", "/", `If-None-Match: "1"`); a.status != 304 || a.body != "" || a.header.Get("ETag") != `"1"` {
		t.Errorf("304 from the store: %v", a)
	}
	r.pass(20 * time.Second)
	if a := r.get("/", "page"); a.status != 200 || a.header.Get("X-Call") != "2" || a.header.Get("Content-Length") != "4" {
		t.Errorf("validated: %v", a)
	}
	r.pass(20 * time.Second)
	if a := r.ask("GET", "/", `If-None-Match: "1"`); a.status != 304 {
		t.Errorf("validated for a condition: %v", a)
	}
	if a := r.get("/", "page"); a.header.Get("X-Call") != "3" {
		t.Errorf("updated: %v", a)
	}
	if calls.Load() != 3 || unchanged.Load() != 2 {
		t.Errorf("%d calls, %d unchanged", calls.Load(), unchanged.Load())
	}
}

// The first request may be conditional: the handler makes the whole response, and the client gets what it has asked for.
func TestConditionOfFirst(t *testing.T) {
	h, calls := counter("Cache-Control: max-age=60", `ETag: "x"`)
	r := newRig(t, rigOptions{}, h)
	if a := r.ask("GET", "/", `If-None-Match: "x"`); a.status != 304 || a.body != "" {
		t.Errorf("%v", a)
	}
	until(t, "it is kept", func() bool { return r.ask("GET", "/").body == "1" })
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestRange(t *testing.T) {
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"x"`)
		w.Write([]byte("0123456789"))
	})
	r.get("/", "0123456789")
	a := r.ask("GET", "/", "Range: bytes=2-4")
	if a.status != 206 || a.body != "234" || a.header.Get("Content-Range") != "bytes 2-4/10" || a.header.Get("Content-Length") != "3" {
		t.Errorf("%v", a)
	}
	if a := r.ask("GET", "/", "Range: bytes=20-"); a.status != 416 || a.header.Get("Content-Range") != "bytes */10" {
		t.Errorf("%v", a)
	}
	r.get("/", "0123456789", "Range: bytes=2-4", `If-Range: "y"`)
	r.get("/", "0123456789", "Range: bytes=0-0, 9-9")
}

func TestVary(t *testing.T) {
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "X-Color, Accept-Encoding")
		coding := ""
		if strings.Contains(req.Header.Get("Accept-Encoding"), "gzip") {
			coding = "gzip"
			w.Header().Set("Content-Encoding", coding)
		}
		fmt.Fprint(w, req.Header.Get("X-Color"), coding, req.Header.Get("X-Once"))
	})
	r.get("/", "red1", "X-Color: red", "X-Once: 1")
	r.get("/", "blue2", "X-Color: blue", "X-Once: 2")
	r.get("/", "red1", "X-Color:   red ", "X-Once: 3")
	r.get("/", "blue2", "X-Color: blue", "X-Once: 4", "Accept-Encoding: identity")
	r.get("/", "redgzip5", "X-Color: red", "X-Once: 5", "Accept-Encoding: gzip")
	r.get("/", "redgzip5", "X-Color: red", "X-Once: 6", "Accept-Encoding: deflate, gzip;q=0.5")
	// The handler knows gzip only, so this client gets gzip as the best that both know; a client that knows only br does not.
	r.get("/", "redgzip7", "X-Color: red", "X-Once: 7", "Accept-Encoding: br, gzip")
	r.get("/", "red8", "X-Color: red", "X-Once: 8", "Accept-Encoding: br")
}

// A request with an unsafe method makes invalid what is kept, unless it fails.
func TestInvalidation(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != "GET" {
			if req.URL.RawQuery == "fail" {
				w.WriteHeader(409)
			}
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, calls.Add(1))
	})
	r.get("/", "1")
	r.ask("POST", "/other", "Content-Length: 3", "\nabc")
	r.get("/", "1")
	r.ask("POST", "/", "Content-Length: 3", "\nabc")
	r.get("/", "2")
	r.ask("DELETE", "/")
	r.get("/", "3")
	r.get("/?fail", "4")
	r.ask("PUT", "/?fail", "Content-Length: 0")
	r.get("/?fail", "4")
	r.ask("OPTIONS", "/")
	r.get("/", "3")
}

func TestPurge(t *testing.T) {
	h, _ := counter("Cache-Control: max-age=60")
	r := newRig(t, rigOptions{}, h)
	r.get("/a/1", "1")
	r.get("/a/2", "2")
	r.get("/b", "3")
	if n := r.cache.Purge("EXAMPLE.com/a/1"); n != 1 {
		t.Errorf("purged: %d", n)
	}
	r.get("/a/1", "4")
	r.get("/a/2", "2")
	if n := r.cache.PurgePrefix("example.com/a/"); n != 2 {
		t.Errorf("purged: %d", n)
	}
	r.get("/a/2", "5")
	r.get("/b", "3")
	if n := r.cache.PurgePrefix(""); n != 2 {
		t.Errorf("purged: %d", n)
	}
	r.get("/b", "6")
}

// asHTTPS says that all requests with X-Https are for https.
type asHTTPS struct{}

func (asHTTPS) Identify(h *httpparse.Head, _ netip.Addr) { h.Secure = h.Find("x-https", 0) >= 0 }

// A response to a request for http is not one for https, and the other way round. A purge removes both, and so does a request
// that changes something.
func TestSchemesAreApart(t *testing.T) {
	h, _ := counter("Cache-Control: max-age=60")
	r := newRig(t, rigOptions{limits: engine.Limits{TrustedProxies: asHTTPS{}}}, h)
	// A client may have its response a moment before that is kept.
	kept := func(n uint64) { until(t, "it is kept", func() bool { return r.cache.Stats().Stored == n }) }
	r.get("/a", "1")
	kept(1)
	r.get("/a", "2", "X-Https: 1")
	kept(2)
	r.get("/a", "1")
	r.get("/a", "2", "X-Https: 1")
	if n := r.cache.Purge("example.com/a"); n != 2 {
		t.Errorf("purged: %d", n)
	}
	r.get("/a", "3", "X-Https: 1")
	kept(3)
	r.get("/a", "4")
	kept(4)
	r.ask("POST", "/a", "X-Https: 1")
	r.get("/a", "6")
	r.get("/a", "7", "X-Https: 1")
	kept(6)
	if n := r.cache.PurgePrefix("example.com/a"); n != 2 {
		t.Errorf("purged: %d", n)
	}
}

// A response that was made before a purge is not kept, whether or not others wait for it.
func TestPurgeDuringFill(t *testing.T) {
	var calls atomic.Int64
	release := make(chan struct{})
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		n := calls.Add(1)
		if n == 1 {
			<-release
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, n)
	})
	var all sync.WaitGroup
	all.Go(func() { r.get("/", "1") })
	until(t, "the first is in its handler", func() bool { return calls.Load() == 1 })
	r.cache.Purge("example.com/")
	r.get("/", "2")
	close(release)
	all.Wait()
	r.get("/", "2")
}

// A large response is passed on whole, and not kept.
func TestTooLarge(t *testing.T) {
	for _, length := range []bool{false, true} {
		var calls atomic.Int64
		body := strings.Repeat("0123456789abcdef", 20_000)
		r := newRig(t, rigOptions{Options: Options{EntryBytes: 100_000}}, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Cache-Control", "max-age=60")
			if length {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			fmt.Fprint(w, body)
		})
		r.get("/", body)
		r.get("/", body)
		if calls.Load() != 2 {
			t.Errorf("%d calls", calls.Load())
		}
		if n := r.cache.Bytes(); n != 0 {
			t.Errorf("%d bytes are counted", n)
		}
	}
}

// A response that breaks off is passed on as far as it goes, and not kept.
func TestBreaksOff(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		if calls.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "whole")
	})
	if a, err := r.tryAsk("GET", "/"); err == nil {
		t.Errorf("complete: %v", a)
	}
	r.get("/", "halfwhole")
	r.get("/", "halfwhole")
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
}

// The client of a fill may go: what it has begun is kept all the same.
func TestClientGoes(t *testing.T) {
	h, calls := counter("Cache-Control: max-age=60")
	started, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write([]byte("begin "))
		w.(http.Flusher).Flush()
		close(started)
		<-release
		h(w, req)
	})
	c, br := r.dial("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	<-started
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.Close()
	close(release)
	r.get("/", "begin 1")
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

// An exchange whose client has gone ends when its response turns out too large to keep.
func TestAloneEnds(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{Options: Options{EntryBytes: 10_000}}, func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write([]byte("begin"))
		w.(http.Flusher).Flush()
		close(started)
		for {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			if req.Context().Err() != nil {
				return
			}
		}
	})
	c, br := r.dial("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	<-started
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the handler goes on")
	}
}
