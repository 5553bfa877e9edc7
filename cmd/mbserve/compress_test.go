package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encodings are all that the server has.
var encodings = []string{"gzip", "br", "zstd"}

// longPage is what testdata/compress.lua sends.
func longPage(n int) string {
	var b strings.Builder
	for i := 1; b.Len() < n; i++ {
		fmt.Fprintf(&b, "<p>a line of a page that repeats itself: %d</p>\n", i*i%977)
	}
	return b.String()[:n]
}

func decoder(t *testing.T, coding string, r io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "gzip":
		d, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case "br":
		return brotli.NewReader(r)
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		return d
	case "":
		return r
	}
	t.Fatalf("Content-Encoding %q", coding)
	return nil
}

// getEncoded makes a request that accepts a coding.
func getEncoded(t *testing.T, url, accept string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", accept)
	r, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func TestCompress(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	for _, c := range []struct {
		path, want string
		known      bool // the length is known at once
	}{
		{"/page?500", longPage(500), true},
		{"/page?5000", longPage(5000), true},
		{"/page?50000", longPage(50000), true},
		{"/page?5000000", longPage(5000000), false},
		{"/stream?1000", strings.Repeat(longPage(1000), 3), false},
		{"/stream?100000", strings.Repeat(longPage(100000), 3), false},
		{"/pieces?300", strings.Repeat(longPage(1000), 300), false},
		{"/later?60000", longPage(60000), true},
	} {
		for _, coding := range encodings {
			r := getEncoded(t, s.url(c.path), coding)
			body, err := io.ReadAll(decoder(t, r.Header.Get("Content-Encoding"), r.Body))
			if err != nil || string(body) != c.want || r.Header.Get("Content-Encoding") != coding {
				t.Fatalf("%s, %s: %d bytes, %v, %v", c.path, coding, len(body), err, r.Header)
			}
			if r.Header.Get("Vary") != "Accept-Encoding" || c.known && r.ContentLength < 0 {
				t.Errorf("%s, %s: length %d, %v", c.path, coding, r.ContentLength, r.Header)
			}
		}
	}
}

// TestCompressOptions: what the options say is what is done.
func TestCompressOptions(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	for _, c := range []struct {
		listener int
		path     string
		coding   string
	}{
		{0, "/page?499", ""}, {0, "/page?500", "zstd"}, {0, "/own?5000", "identity"},
		{1, "/page?1023", ""}, {1, "/page?1024", "zstd"},
		{2, "/page?5000", ""}, {3, "/page?5000", ""},
	} {
		r := getEncoded(t, "http://"+s.address(c.listener)+c.path, "gzip, br, zstd")
		io.Copy(io.Discard, r.Body)
		if r.Header.Get("Content-Encoding") != c.coding {
			t.Errorf("listener %d, %s: %v", c.listener, c.path, r.Header)
		}
		if c.listener >= 2 && r.Header.Get("Vary") != "" {
			t.Errorf("listener %d, %s: %v", c.listener, c.path, r.Header)
		}
	}
}

// TestCompressEventType: text/event-stream has to be named. Whether a short stream is compressed depends on how it is output,
// but Vary does not.
func TestCompressEventType(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	for listener, vary := range []string{"Accept-Encoding", "", "", ""} {
		r := getEncoded(t, "http://"+s.address(listener)+"/events", "gzip")
		if got := r.Header.Get("Vary"); got != vary {
			t.Errorf("listener %d: Vary is %q", listener, got)
		}
	}
}

// TestCompressEvents: each event arrives although the handler waits for the client before it sends the next one.
func TestCompressEvents(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	for _, coding := range encodings {
		p := dial(t, s.address(0))
		p.say("POST /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n", coding)
		r, err := http.ReadResponse(bufio.NewReader(p), nil)
		if err != nil {
			t.Fatal(err)
		}
		events := bufio.NewReader(decoder(t, r.Header.Get("Content-Encoding"), r.Body))
		for i := range 3 {
			line, err := events.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", i+1) {
				t.Fatalf("%s: %q, %v", coding, line, err)
			}
			events.ReadString('\n')
			if i < 2 {
				p.say("1\r\nx\r\n")
			}
		}
		p.say("0\r\n\r\n")
		if rest, err := io.ReadAll(events); len(rest) > 0 || err != nil {
			t.Errorf("%s: %q, %v", coding, rest, err)
		}
		p.Close()
	}
}

// TestCompressDecoders: decoders that are not ours understand it.
func TestCompressDecoders(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	needs(t, "curl")
	for _, path := range []string{"/page?3000", "/page?60000", "/page?3000000", "/stream?30000"} {
		want := curl(t, s.url(path))
		if got := curl(t, "--compressed", s.url(path)); got != want {
			t.Errorf("%s: %d bytes, want %d", path, len(got), len(want))
		}
		for program, coding := range map[string]string{"gzip": "gzip", "zstd": "zstd", "brotli": "br"} {
			if _, err := exec.LookPath(program); err != nil {
				continue
			}
			cmd := exec.Command(program, "-dc")
			cmd.Stdin = strings.NewReader(curl(t, "-H", "Accept-Encoding: "+coding, s.url(path)))
			if got, err := cmd.Output(); err != nil || string(got) != want {
				t.Errorf("%s, %s: %d bytes, want %d, %v", program, path, len(got), len(want), err)
			}
		}
	}
}

// TestCompressPipeline: responses of requests that are sent without waiting keep their order.
func TestCompressPipeline(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	p := dial(t, s.address(0))
	sizes := []int{60000, 600, 10, 300000, 2000, 30000, 1}
	for i, n := range sizes {
		p.say("GET /page?%d HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n", n, encodings[i%3])
	}
	in := bufio.NewReader(p)
	for _, n := range sizes {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(decoder(t, r.Header.Get("Content-Encoding"), r.Body))
		if err != nil || string(body) != longPage(n) {
			t.Fatalf("%d bytes, want %d, %v", len(body), n, err)
		}
		io.Copy(io.Discard, r.Body)
	}
}

// TestCompressKilled: the worker dies in the middle of a response. The client must not take what it has for all of it.
func TestCompressKilled(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	for _, coding := range encodings {
		from := s.log.size()
		r := getEncoded(t, s.url("/pid?50000"), coding)
		pid := number(t, field(s.log.wait(t, from, "at work"), "pid"))
		syscall.Kill(pid, syscall.SIGKILL)
		if body, err := io.ReadAll(decoder(t, r.Header.Get("Content-Encoding"), r.Body)); err == nil {
			t.Errorf("%s: %d bytes look complete", coding, len(body))
		}
	}
}

// TestCompressGone: clients that vanish at any point leave nothing behind, and other clients are served.
func TestCompressGone(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			p := dial(t, s.address(0))
			p.say("GET /page?%d HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n", 1000*i*i, encodings[i%3])
			io.CopyN(io.Discard, p, int64(i%7)*20)
			p.Close()
		})
	}
	all.Wait()
	for _, coding := range encodings {
		r := getEncoded(t, s.url("/page?100000"), coding)
		body, err := io.ReadAll(decoder(t, r.Header.Get("Content-Encoding"), r.Body))
		if err != nil || string(body) != longPage(100000) {
			t.Errorf("%s: %d bytes, %v", coding, len(body), err)
		}
	}
}

// TestCompressHead: HEAD gets the fields of GET.
func TestCompressHead(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	for _, path := range []string{"/page?100", "/page?5000", "/page?500000"} {
		fields := func(method string) (lines []string) {
			p := dial(t, s.address(0))
			p.say("%s %s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n", method, path)
			all, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			head, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
			if method == "HEAD" && len(body) > 0 {
				t.Errorf("HEAD %s has a body of %d bytes", path, len(body))
			}
			for line := range strings.Lines(string(head)) {
				if !strings.HasPrefix(line, "Date:") {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			return lines
		}
		ofGet, ofHead := fields("GET"), fields("HEAD")
		for _, line := range ofHead {
			if !slices.Contains(ofGet, line) {
				t.Errorf("%s: HEAD has %q, GET has %q", path, line, ofGet)
			}
		}
		for _, line := range ofGet {
			framing := strings.HasPrefix(line, "Content-Length") || strings.HasPrefix(line, "Transfer-Encoding")
			if !framing && !slices.Contains(ofHead, line) {
				t.Errorf("%s: GET has %q, HEAD has %q", path, line, ofHead)
			}
		}
	}
}

// TestCompressSlow: large responses wait in their handlers for clients that read nothing, without a spool. What the server holds of
// them is bounded.
func TestCompressSlow(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/compress.lua")
	const clients, pieces, piece = 4, 40, 8 * 65536 // 20 MB each
	var peers []*peer
	for i := range clients {
		p := dial(t, s.address(4))
		p.say("GET /noise?%d HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\nConnection: close\r\n\r\n", pieces, encodings[i%3])
		if _, err := io.ReadFull(p, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, p)
	}
	// All responses have begun. The clients take them in turn, so that the last one waits long.
	for _, p := range peers {
		n, err := io.Copy(io.Discard, p)
		if err != nil || n < pieces*piece/4 {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if peak := peakMemory(t, s.pid()); peak > 150<<20 && !raceEnabled {
		t.Errorf("the server has used %d MiB", peak>>20)
	}
}

// peakMemory is the most memory that a process has used, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("the memory of a process cannot be read: ", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Skip("the system does not say")
	}
	return number(t, string(m[1])) << 10
}
