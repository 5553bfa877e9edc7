package static

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// TestRequestAfterClose: a connection of a listener that is gone may still send requests. They are answered, and none of them says that
// a file is missing which is there.
func TestRequestAfterClose(t *testing.T) {
	root := tree(t, map[string]string{"file": "text"})
	for name, c := range map[string]testConfig{
		"alone":     alone(Rule{Prefix: "/f/", Path: root}),
		"with next": withNext(Rule{Prefix: "/f/", Path: root}),
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, c)
			p := dial(t, r)
			if status, body := p.get("/f/file"); status != http.StatusOK || body != "text" {
				t.Fatalf("before: %d, %q", status, body)
			}
			r.static.Close()
			for _, target := range []string{"/f/file", "/f/file", "/f/missing"} {
				if status, _ := p.get(target); status != http.StatusServiceUnavailable {
					t.Errorf("%s: %d", target, status)
				}
			}
			status, body := p.get("/other")
			if c.next == nil && status != http.StatusServiceUnavailable || c.next != nil && body != handled+"GET /other" {
				t.Errorf("/other: %d, %q", status, body)
			}
		})
	}
}

// TestCloseHung: neither a lookup that hangs nor a check of the directory that hangs stops Close.
func TestCloseHung(t *testing.T) {
	before := closeWait
	closeWait = time.Millisecond
	defer func() { closeWait = before }()
	s, err := New(Config{Rules: []Rule{{Prefix: "/", Path: t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	hung := make(chan struct{})
	s.lookups.run(s.rules[0], func() { <-hung })
	s.rules[0].dir.mu.Lock() // as os.Stat of the directory would hold it
	s.Close()
	close(hung)
	s.rules[0].dir.mu.Unlock()
}

// TestKeptExchange: an exchange that is kept for reuse has no large buffers.
func TestKeptExchange(t *testing.T) {
	l := still(t, t.TempDir())
	for _, size := range []int{bytesKept, bytesKept + 1} {
		e := &exchange{l: l}
		e.head.Raw, e.rest = make([]byte, size), make([]byte, size)
		l.putExchange(e)
		want := bytesKept
		if size > bytesKept {
			want = 0
		}
		if kept := l.free; cap(kept.head.Raw) != want || cap(kept.rest) != want {
			t.Errorf("%d bytes: %d and %d are kept", size, cap(kept.head.Raw), cap(kept.rest))
		}
	}
}

// TestLongPath: a path that is too long for a file is not stored.
func TestLongPath(t *testing.T) {
	for _, c := range []testConfig{alone(Rule{Prefix: "/f/", Path: t.TempDir()}), withNext(Rule{Prefix: "/f/", Path: t.TempDir()})} {
		r := serve(t, c)
		for _, extra := range []int{0, 1} {
			path := "/f/" + strings.Repeat("x", pathMax+extra)
			_, body := r.send("GET", path)
			if (c.next != nil) != strings.HasPrefix(body, handled) {
				t.Errorf("%d too long: %.40q", extra, body)
			}
			if stored := r.static.store.get(path) != nil; stored != (extra == 0) {
				t.Errorf("%d too long: stored: %v", extra, stored)
			}
		}
	}
}

// timedRunning and cacheRunning are exchanges of the next backend.
type (
	timedRunning struct{ backend.Running }
	cacheRunning struct{ backend.Running }
)

func (timedRunning) Times() (queue, service time.Duration) { return 1, 2 }

func (cacheRunning) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	return 3, 4, backend.CacheHit
}

// TestTimes: the times are those of the next backend, with the result of a cache.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		inner          backend.Running
		queue, service time.Duration
		result         backend.CacheResult
	}{
		{nil, -1, -1, backend.CacheNone},
		{timedRunning{}, 1, 2, backend.CacheNone},
		{cacheRunning{}, 3, 4, backend.CacheHit},
		{struct{ backend.Running }{}, -1, -1, backend.CacheNone},
	} {
		var e backend.Running = &exchange{inner: c.inner}
		if _, ok := e.(backend.Timed); ok {
			t.Fatal("the engine would not ask for the result of a cache")
		}
		if queue, service, result := e.(backend.CacheTimed).CacheTimes(); queue != c.queue || service != c.service || result != c.result {
			t.Errorf("%T: %v, %v, %v", c.inner, queue, service, result)
		}
	}
}
