package cache

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Each request is counted once, by what becomes of it. Waiting counts in addition, and so does a stale answer in place of a failure.
func TestStats(t *testing.T) {
	var broken atomic.Bool
	begun, goOn := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{loops: 2, Options: Options{Bytes: 100_000}}, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case broken.Load():
			w.WriteHeader(500)
			return
		case req.URL.Path == "/slow":
			close(begun)
			<-goOn
		case req.URL.Path == "/no":
			w.Header().Set("Cache-Control", "no-store")
		}
		if req.URL.Path != "/no" {
			w.Header().Set("Cache-Control", "max-age=10, stale-if-error=100")
		}
		fmt.Fprint(w, strings.Repeat("x", 5000))
	})
	want := Stats{Limit: 100_000}
	check := func(when string) {
		t.Helper()
		got := r.cache.Stats()
		if got.Bytes < 0 || got.Bytes > got.Limit || got.Bytes != r.cache.Bytes() {
			t.Errorf("%s: %d bytes", when, got.Bytes)
		}
		got.Bytes = 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	ask := func(path string) { r.ask("GET", path) }
	ask("/a")
	want.Misses, want.Stored, want.Keys = 1, 1, 1
	until(t, "it is kept", func() bool { return r.cache.Stats().Stored == 1 })
	ask("/a")
	ask("/a")
	want.Hits = 2
	check("kept")
	r.ask("OPTIONS", "/a")
	r.ask("GET", "/a", "If-Match: *")
	want.Passed = 2
	check("passed")
	ask("/no")
	want.Misses++
	check("not kept")
	r.pass(20 * time.Second)
	broken.Store(true)
	ask("/a")
	want.Misses++
	want.Stale++
	check("instead of a failure")
	broken.Store(false)
	r.pass(10 * time.Second)

	done := make(chan struct{}, 2)
	for range 2 {
		go func() { ask("/slow"); done <- struct{}{} }()
	}
	<-begun
	until(t, "one waits", func() bool { return r.cache.Stats().Waits == 1 })
	close(goOn)
	<-done
	<-done
	want.Misses++
	want.Waits++
	want.Hits++
	want.Stored++
	want.Keys++
	check("waited")

	for i := range 50 {
		ask(fmt.Sprint("/", i))
	}
	until(t, "all were kept", func() bool { return r.cache.Stats().Stored == want.Stored+50 })
	got := r.cache.Stats()
	if got.Evicted == 0 || got.Misses != want.Misses+50 || got.Keys+int(got.Evicted) != want.Keys+50 {
		t.Errorf("after evictions: %+v", got)
	}
	r.ask("POST", "/49")
	if after := r.cache.Stats(); after.Passed != got.Passed+1 || after.Keys != got.Keys-1 {
		t.Errorf("after POST: %+v, before %+v", after, got)
	}
}
