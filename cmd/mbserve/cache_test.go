package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cacheRig is a server with testdata/cache.lua.
type cacheRig struct {
	*instance
	file string
}

func startCache(t *testing.T, args ...string) *cacheRig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "notes")
	return &cacheRig{start(t, spread(append(args, "testdata/cache.lua", file)...)...), file}
}

// touch makes what the script waits for exist.
func (r *cacheRig) touch(name string) {
	r.t.Helper()
	if err := os.WriteFile(r.file+name, nil, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// notes counts what handlers have noted.
func (r *cacheRig) notes(what string) int {
	text, _ := os.ReadFile(r.file)
	return strings.Count(string(text), what+"\n")
}

func (r *cacheRig) await(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not in time: %s\n%s", what, r.log)
		}
	}
}

// again expects the same answer from the store.
func (r *cacheRig) again(url, body string) {
	r.t.Helper()
	resp, got, err := fetch("GET", url, "")
	if err != nil || got != body || !strings.HasPrefix(resp.Header.Get("Cache-Status"), "moonbridge; hit") {
		r.t.Errorf("%s: %q instead of %q, %v, %v", url, got, body, resp, err)
	}
}

// A handler that says how long its page may be kept is called once. Listeners with the same handler share what is kept.
func TestCache(t *testing.T) {
	t.Parallel()
	access := filepath.Join(t.TempDir(), "access")
	r := startCache(t, "--access-log", access)
	page := get(t, r.url("/a?b=c"))
	if page != "page 1" {
		t.Fatalf("%q", page)
	}
	for range 5 {
		r.again(r.url("/a?b=c"), page)
	}
	if key := get(t, r.url("/key?X")); key != r.address(0)+"/key?X" {
		t.Errorf("key %q", key)
	}
	r.again(r.url("/key?X"), r.address(0)+"/key?X")

	p := dial(t, r.address(1)) // the other listener, with the Host of the first
	p.say("GET /a?b=c HTTP/1.1\r\nHost: %s\r\n\r\n", strings.ToUpper(r.address(0)))
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil || !strings.Contains(resp.Header.Get("Cache-Status"), "hit") {
		t.Errorf("other listener: %v %v", resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	p.Close()

	for n, kept := range map[int]bool{2: true, 3: false} { // another handler, and one without a cache
		url := "http://" + r.address(n) + "/a?b=c"
		first := get(t, url)
		same := true
		for range 10 {
			same = same && get(t, url) == first
		}
		if same != kept {
			t.Errorf("listener %d: always the same page: %v", n, same)
		}
	}
	r.stop()
	text, err := os.ReadFile(access)
	if log := string(text); err != nil || !strings.Contains(log, " MISS\n") || !regexp.MustCompile(` - - [0-9.]+ HIT\n`).MatchString(log) {
		t.Errorf("access log: %s %v", log, err)
	}
}

// The statistics have a line for each handler with a cache.
func TestCacheStats(t *testing.T) {
	t.Parallel()
	r := startCache(t, "--stats")
	page := get(t, r.url("/a"))
	for range 3 {
		r.again(r.url("/a"), page)
	}
	get(t, "http://"+r.address(2)+"/b")
	r.stop()
	for id, want := range map[string]string{"1": "3 0 1 0 0 1 0 1 1000000", "2": "0 0 1 0 0 1 0 1 67108864"} {
		line := r.wait("msg=cache", "cache="+id)
		var got []string
		for _, key := range strings.Fields("hits stale misses waits passed stored evicted keys limit") {
			got = append(got, field(line, key))
		}
		if got[3] == "1" { // the next request may come before the fill has ended, although its client has the whole response; it waits, and is a hit then
			got[3] = "0"
		}
		if strings.Join(got, " ") != want || field(line, "bytes") == "0" {
			t.Errorf("cache %s: %s", id, line)
		}
	}
}

// What the option compress has made of a page is kept for each coding.
func TestCacheCompressed(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	long := strings.Repeat("0123456789abcdef", 5000)
	for range 2 {
		for _, accept := range []string{"", "gzip", "br", "zstd", "gzip;q=0.5, zstd", "deflate"} {
			resp := getEncoded(t, r.url("/long"), accept)
			body, err := io.ReadAll(decoder(t, resp.Header.Get("Content-Encoding"), resp.Body))
			resp.Body.Close()
			if err != nil || string(body) != long {
				t.Errorf("%q: %d bytes, %v", accept, len(body), err)
			}
		}
	}
	resp := getEncoded(t, r.url("/long"), "br")
	resp.Body.Close()
	if !strings.Contains(resp.Header.Get("Cache-Status"), "hit") || resp.Header.Get("Content-Encoding") != "br" {
		t.Errorf("%v", resp.Header)
	}
}

// 100 clients that want the same page at once cause one call.
func TestCacheStampede(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	var all sync.WaitGroup
	ask := func() {
		if body := get(t, r.url("/slow")); body != "slow 1" {
			t.Errorf("%q", body)
		}
	}
	all.Go(ask)
	r.await("the handler runs", func() bool { return r.notes("slow") == 1 })
	for range 99 {
		all.Go(ask)
	}
	r.touch(".slow")
	all.Wait()
	if n := r.notes("slow"); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A worker that dies while it makes a page is no answer: nothing is kept, and those that wait get theirs.
func TestCacheWorkerDies(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			resp, body, err := fetch("GET", r.url("/fatal"), "")
			if err != nil || resp.StatusCode != 502 && body != "cured" {
				t.Errorf("%v %q %v", resp, body, err)
			}
		})
	}
	r.await("the handler runs", func() bool { return r.notes("fatal") > 0 })
	r.touch(".fatal")
	r.await("it has killed two workers", func() bool { return r.notes("fatal") > 2 })
	r.touch(".cured")
	all.Wait()
	if body := get(t, r.url("/fatal")); body != "cured" {
		t.Errorf("%q", body)
	}
	r.again(r.url("/fatal"), "cured")
}

// moonbridge_cache removes pages, from a handler before its response is out, and from a timer.
func TestCachePurge(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	changed := func(url string) {
		t.Helper()
		for i, want := range []string{"fwd=miss", "hit"} {
			resp, _, err := fetch("GET", url, "")
			if err != nil || !strings.Contains(resp.Header.Get("Cache-Status"), want) {
				t.Errorf("%s, request %d after it was removed: %v %v", url, i+1, resp, err)
			}
		}
	}
	get(t, r.url("/x/1"))
	two := get(t, r.url("/x/2"))
	purge := func(query string) {
		t.Helper()
		c := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := c.Get(r.url("/purge?" + query))
		if err != nil || resp.StatusCode != 303 {
			t.Fatalf("purge: %v %v", resp, err)
		}
		resp.Body.Close()
	}
	for range 20 {
		purge("key=" + strings.ToUpper(r.address(0)) + "/x/1")
		changed(r.url("/x/1"))
	}
	r.again(r.url("/x/2"), two)
	purge("prefix=" + r.address(0) + "/x/")
	changed(r.url("/x/1"))
	changed(r.url("/x/2"))
	r.touch(".tick")
	r.await("the timer has purged", func() bool { return r.notes("purged") == 1 })
	changed(r.url("/x/1"))
	changed(r.url("/x/2"))
}

// An unsafe request removes what is kept for its URI, and for its Location.
func TestCacheInvalidated(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	pages := map[string]string{"/one": "", "/other": "", "/third": ""}
	for path := range pages {
		pages[path] = get(t, r.url(path))
	}
	c := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Post(r.url("/one"), "text/plain", strings.NewReader("change"))
	if err != nil || resp.StatusCode != 303 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
	for path, kept := range map[string]bool{"/one": false, "/other": false, "/third": true} {
		resp, _, err := fetch("GET", r.url(path), "")
		if err != nil || strings.Contains(resp.Header.Get("Cache-Status"), "hit") != kept {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
}

// A stale page whose handler says that it is unchanged is served on. The handler may go on after request:finish().
func TestCacheRevalidates(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	page := get(t, r.url("/finish"))
	r.again(r.url("/finish"), page)
	r.await("the handler has gone on", func() bool { return r.notes("finished") == 1 })
	for i := range 3 { // stale at once, and without a validator: each is refreshed in the background
		get(t, r.url("/page?control=max-age%3D0,stale-while-revalidate%3D1000"))
		if resp, _, err := fetch("GET", r.url("/page?control=max-age%3D0,stale-while-revalidate%3D1000"), ""); err != nil ||
			!strings.Contains(resp.Header.Get("Cache-Status"), "hit") {
			t.Errorf("%d: %v %v", i, resp, err)
		}
	}
	page = get(t, r.url("/valid?control=max-age%3D0,stale-while-revalidate%3D1000"))
	r.again(r.url("/valid?control=max-age%3D0,stale-while-revalidate%3D1000"), page)
	r.await("it is validated", func() bool { return r.notes("valid") > 0 })
	r.again(r.url("/valid?control=max-age%3D0,stale-while-revalidate%3D1000"), page)
	if resp, _, _ := fetch("GET", r.url("/fail"), ""); resp == nil || resp.StatusCode != 500 {
		t.Errorf("fail: %v", resp)
	}
}

// A reload begins with an empty store.
func TestCacheReload(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	for range 3 {
		get(t, r.url("/other-page"))
	}
	page := get(t, r.url("/a"))
	r.again(r.url("/a"), page)
	r.signal(syscall.SIGHUP)
	r.wait("msg=reloaded")
	resp, _, err := fetch("GET", r.url("/a"), "")
	if err != nil || strings.Contains(resp.Header.Get("Cache-Status"), "hit") {
		t.Errorf("%v %v", resp, err)
	}
	resp, _, err = fetch("GET", r.url("/a"), "")
	if err != nil || !strings.Contains(resp.Header.Get("Cache-Status"), "hit") {
		t.Errorf("%v %v", resp, err)
	}
}

// What a request of the old script changes while it is replaced is out of date in the cache of the new one, too.
func TestCacheReloadInvalidated(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	var all sync.WaitGroup
	all.Go(func() {
		c := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := c.Post(r.url("/edited"), "text/plain", nil)
		if err != nil || resp.StatusCode != 303 {
			t.Errorf("%v %v", resp, err)
		}
	})
	r.await("the handler runs", func() bool { return r.notes("edits") == 1 })
	r.signal(syscall.SIGHUP)
	r.wait("msg=reloaded")
	for _, path := range []string{"/edited", "/other", "/third"} {
		r.again(r.url(path), get(t, r.url(path)))
	}
	r.touch(".edited")
	all.Wait()
	for path, kept := range map[string]bool{"/edited": false, "/other": false, "/third": true} {
		resp, _, err := fetch("GET", r.url(path), "")
		if err != nil || strings.Contains(resp.Header.Get("Cache-Status"), "hit") != kept {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
}

// A request that waits for the response to another one is answered, though the script is replaced meanwhile.
func TestCacheReloadWaiting(t *testing.T) {
	t.Parallel()
	r := startCache(t)
	page := get(t, r.url("/a"))
	var all sync.WaitGroup
	all.Go(func() { get(t, r.url("/slow")) })
	r.await("the handler runs", func() bool { return r.notes("slow") == 1 })
	p := dial(t, r.address(0))
	defer p.Close()
	one := "GET %s HTTP/1.1\r\nHost: " + r.address(0) + "\r\n\r\n"
	p.say(one+one, "/a", "/slow")
	read := func(want string) {
		t.Helper()
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.HasPrefix(string(body), want) {
			t.Errorf("%d %q %v", resp.StatusCode, body, err)
		}
	}
	read(page)
	r.signal(syscall.SIGHUP)
	r.wait("msg=reloaded")
	r.await("the handler runs again", func() bool { return r.notes("slow") == 2 })
	r.touch(".slow")
	read("slow")
	all.Wait()
}

// Mistakes in the option cache are errors of generate_handler.
func TestCacheOptions(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"1":                             "option 'cache' must be a boolean or a table, not a number",
		"{ bytes = 1000 }":              "option 'cache': 'bytes' must be a number of bytes, at least 65536",
		"{ bytes = '1M' }":              "option 'cache': 'bytes' must be a number of bytes",
		"{ entry_bytes = 0 }":           "option 'cache': 'entry_bytes' must be a number of bytes, at least 1",
		"{ entry_bytes = 1.5 }":         "option 'cache': 'entry_bytes' must be",
		"{ wait = 0 }":                  "option 'cache': 'wait' must be a number of seconds, at most 3600",
		"{ wait = 4000 }":               "option 'cache': 'wait' must be",
		"{ cache_status = 1 }":          "option 'cache': 'cache_status' must be a boolean",
		"{ request_directives = 'no' }": "option 'cache': 'request_directives' must be a boolean",
		"{ size = 1 }":                  "got 'size'",
		"{ 1 }":                         "got 'number'",
	} {
		s := launch(t, writeScript(t, fmt.Sprintf("require('moonbridge_http').generate_handler({ cache = %s }, print)", value)))
		s.exit(3)
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("%s: %s", value, s.log)
		}
	}
	s := launch(t, writeScript(t, "require('moonbridge_cache').purge('x')"))
	s.exit(3)
	if want := "moonbridge_cache.purge works in handlers, timers and prepare only"; !strings.Contains(s.log.String(), want) {
		t.Errorf("%s", s.log)
	}
}
