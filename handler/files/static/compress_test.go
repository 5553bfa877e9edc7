package static

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/httpparse"
)

// encoder stands for a compressor. It counts its calls, and what runs at the same time.
type encoder struct {
	calls, running, most atomic.Int64
}

func (e *encoder) encode(c httpparse.Coding, content []byte) []byte {
	e.calls.Add(1)
	if n := e.running.Add(1); n > e.most.Load() {
		e.most.Store(n)
	}
	defer e.running.Add(-1)
	if content[0] == 'n' {
		return nil // noise
	}
	return fmt.Appendf(nil, "%v of %c, %d bytes", c, content[0], len(content))
}

// compressing serves a tree with an encoder.
func compressing(t *testing.T, c Config, files map[string]string) (*rig, *encoder, string) {
	root := tree(t, files)
	at := time.Now().Add(-10 * time.Second) // the same for all: a compressed file must not be older than the original
	for name := range files {
		if err := os.Chtimes(root+"/"+name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	e := new(encoder)
	c.Encode, c.Fresh = e.encode, time.Hour
	c.Rules = []Rule{{Prefix: "/", Path: root, Compress: true}, {Prefix: "/as-is/", Path: root}}
	return serve(t, testConfig{Config: c}), e, root
}

// until repeats a request until its response is as wanted.
func until(t *testing.T, r *rig, path, accept string, want func(res *http.Response, body string) bool) (*http.Response, string) {
	t.Helper()
	for over := time.Now().Add(patience); ; {
		res, body := r.send("GET", path, "Accept-Encoding: "+accept)
		if want(res, body) {
			return res, body
		}
		if time.Now().After(over) {
			t.Fatalf("%s with %q: %q, %v", path, accept, body, res.Header)
		}
	}
}

func encodedAs(coding string) func(*http.Response, string) bool {
	return func(res *http.Response, _ string) bool { return res.Header.Get("Content-Encoding") == coding }
}

func TestCompress(t *testing.T) {
	small, large := strings.Repeat("s", 2000), strings.Repeat("l", 300000)
	r, e, root := compressing(t, Config{}, map[string]string{
		"small.js": small, "large.js": large, "noise.js": strings.Repeat("n", 2000), "tiny.js": strings.Repeat("t", 1023),
		"huge.js": strings.Repeat("h", encodeMax+1), "pic.png": small, "has.js": small, "has.js.gz": "beside",
	})
	for _, c := range []struct{ path, accept, coding, body string }{
		{"/small.js", "gzip", "gzip", "gzip of s, 2000 bytes"},
		{"/small.js", "gzip, br, zstd", "zstd", "zstd of s, 2000 bytes"},
		{"/large.js", "br", "br", "br of l, 300000 bytes"},
		{"/has.js", "gzip, br", "gzip", "beside"},
		{"/has.js", "br", "br", "br of s, 2000 bytes"},
	} {
		res, body := until(t, r, c.path, c.accept, encodedAs(c.coding))
		if body != c.body || res.Header.Get("Vary") != "Accept-Encoding" || res.ContentLength != int64(len(body)) {
			t.Errorf("%s with %s: %q, %v", c.path, c.accept, body, res.Header)
		}
		if tag := res.Header.Get("ETag"); c.body != "beside" && !strings.HasPrefix(tag, `W/"`) {
			t.Errorf("%s with %s: ETag %s", c.path, c.accept, tag)
		}
		tag := res.Header.Get("ETag")
		if res, _ := r.send("GET", c.path, "Accept-Encoding: "+c.accept, "If-None-Match: "+tag); res.StatusCode != 304 || res.Header.Get("ETag") != tag {
			t.Errorf("%s with %s: %d, %v", c.path, c.accept, res.StatusCode, res.Header)
		}
		if head, _ := r.send("HEAD", c.path, "Accept-Encoding: "+c.accept); head.Header.Get("Content-Encoding") != c.coding || head.ContentLength != int64(len(body)) {
			t.Errorf("HEAD %s with %s: %v", c.path, c.accept, head.Header)
		}
	}
	made := e.calls.Load()
	if res, body := r.send("GET", "/small.js", "Accept-Encoding: gzip", "Range: bytes=0-9"); res.StatusCode != 206 || body != small[:10] || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("range: %d %q, %v", res.StatusCode, body, res.Header)
	}
	if _, body := r.send("GET", "/small.js"); body != small {
		t.Errorf("without Accept-Encoding: %q", body)
	}
	until(t, r, "/small.js", "gzip", encodedAs("gzip"))
	if n := e.calls.Load(); n != made {
		t.Errorf("compressed %d times more", n-made)
	}
	until(t, r, "/noise.js", "gzip", func(res *http.Response, _ string) bool {
		return res.Header.Get("Content-Encoding") == "" && e.calls.Load() == made+1
	})
	r.static.expire() // another lookup finds the same files
	until(t, r, "/large.js", "br", encodedAs("br"))
	for _, path := range []string{"/noise.js", "/tiny.js", "/huge.js", "/pic.png", "/as-is/small.js"} {
		for range 5 {
			if res, _ := r.send("GET", path, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s: %v", path, res.Header)
			}
		}
	}
	if n := e.calls.Load(); n != made+1 || e.most.Load() != 1 {
		t.Errorf("compressed %d times more, %d at a time", n-made, e.most.Load())
	}
	// Another file in its place: what was made of the first is not sent any more.
	write(t, root+"/small.js", strings.Repeat("S", 3000), false)
	age(t, root+"/small.js", 5)
	r.static.expire()
	if _, body := until(t, r, "/small.js", "gzip", func(_ *http.Response, body string) bool { return body != "gzip of s, 2000 bytes" }); body != strings.Repeat("S", 3000) && body != "gzip of S, 3000 bytes" {
		t.Errorf("after the change: %q", body)
	}
	until(t, r, "/small.js", "gzip", func(_ *http.Response, body string) bool { return body == "gzip of S, 3000 bytes" })
}

// TestCompressBound: what is made has room only within the bound on bytes.
func TestCompressBound(t *testing.T) {
	r, e, _ := compressing(t, Config{Bytes: 10}, map[string]string{"large.js": strings.Repeat("l", contentDefault+1000)})
	for e.calls.Load() < 3 {
		if res, body := r.send("GET", "/large.js", "Accept-Encoding: gzip"); len(body) != contentDefault+1000 {
			t.Fatalf("%q, %v", body, res.Header)
		}
	}
}

// TestRangeOfMade: ranges are those of the original, even when all compressed versions are there.
func TestRangeOfMade(t *testing.T) {
	small := strings.Repeat("s", 2000)
	r, _, _ := compressing(t, Config{}, map[string]string{"small.js": small})
	codings := []string{"gzip", "br", "zstd"}
	for _, coding := range codings {
		until(t, r, "/small.js", coding, encodedAs(coding))
	}
	for _, coding := range codings {
		res, body := r.send("GET", "/small.js", "Accept-Encoding: "+coding, "Range: bytes=0-3")
		if res.StatusCode != 206 || body != small[:4] || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %q, %v", coding, res.StatusCode, body, res.Header)
		}
		if res, _ := r.send("GET", "/small.js", "Accept-Encoding: "+coding); res.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s without a range: %v", coding, res.Header)
		}
	}
}
