package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/httpparse/conformance"
)

// HTTP on raw sockets must send the same bytes as the server does for the same handler.

// twin is a handler that is served in both ways.
type twin struct{ server, raw string }

// Pairs of listeners of testdata/rawhttp.lua.
const (
	twinPlain    = iota
	twinSmall    // small limits
	twinTimeouts // short timeouts
	twinStalls   // the same, with stream_body
	twinStreams  // stream_body
	twins
)

// startTwins starts a server that runs testdata/rawhttp.lua.
func startTwins(t *testing.T, args ...string) (*instance, []twin) {
	t.Helper()
	s := start(t, append([]string{"--grace", "20", "testdata/rawhttp.lua"}, args...)...)
	found := regexp.MustCompile(`msg=listening .*address=[a-z]+://([0-9.:]+)`).FindAllStringSubmatch(s.log.String(), -1)
	if len(found) != 2*twins {
		t.Fatalf("%d listeners:\n%s", len(found), s.log)
	}
	var all []twin
	for i := range twins {
		all = append(all, twin{found[2*i][1], found[2*i+1][1]})
	}
	return s, all
}

var dateLine = regexp.MustCompile(`(?m)^Date: .*GMT\r$`)

// say sends bytes on a new connection, ends its side if requested, and returns the answer without dates.
func say(t *testing.T, address, text string, end bool) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go func() {
		io.WriteString(c, text) // fails if the server refuses early
		if end {
			c.(*net.TCPConn).CloseWrite()
		}
	}()
	b, err := io.ReadAll(c)
	got := dateLine.ReplaceAllString(string(b), "Date: now\r")
	if errors.Is(err, syscall.ECONNRESET) {
		return "(reset)" // how much arrives before it depends on timing
	}
	if err != nil {
		t.Errorf("%s, %.200q: %v", address, text, err)
	}
	return got
}

// same sends bytes to both listeners and compares the answers.
func (w twin) same(t *testing.T, name, text string, end bool) string {
	t.Helper()
	want, got := say(t, w.server, text, end), say(t, w.raw, text, end)
	if got != want {
		t.Errorf("%s: %.300q:\nthe server: %.1000q\nraw socket: %.1000q", name, text, want, got)
	}
	return got
}

// The test cases of the parser.
func TestRawHTTPConformance(t *testing.T) {
	t.Parallel()
	cases, err := conformance.Load("../../httpparse/testdata")
	if err != nil {
		t.Fatal(err)
	}
	_, all := startTwins(t)
	answered := 0
	for _, c := range cases {
		for _, w := range []twin{all[twinPlain], all[twinStreams]} {
			if w.same(t, c.Where+" "+c.Name, string(c.Input), true) != "" {
				answered++
			}
		}
	}
	if answered < len(cases) {
		t.Errorf("only %d of %d cases were answered", answered, 2*len(cases))
	}
}

// Responses of every kind, for the kinds of requests that they depend on. Those that keep the connection share one.
func TestRawHTTPResponses(t *testing.T) {
	t.Parallel()
	s, all := startTwins(t)
	w := all[twinPlain]
	shapes := []string{"head", "empty", "reset_content", "length", "large", "parts", "hints", "closing", "fail", "no_status",
		"short", "hints_only", "unread", "mirror?a=b"}
	var pipeline strings.Builder
	for _, path := range shapes {
		for _, line := range []string{"GET /%s HTTP/1.1\r\nHost: x\r\n", "HEAD /%s HTTP/1.1\r\nHost: x\r\n",
			"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
			"GET /%s HTTP/1.0\r\n", "GET /%s HTTP/1.0\r\nConnection: keep-alive\r\n", "HEAD /%s HTTP/1.0\r\n",
			"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"} {
			text := fmt.Sprintf(line, path) + "\r\n"
			got := w.same(t, path, text, true)
			if !strings.HasPrefix(got, "HTTP/1.1 ") && path != "short" {
				t.Errorf("%q: got %.200q", text, got)
			}
			if !strings.Contains(got, "Connection: close") && !strings.Contains(got, "(reset)") && strings.Contains(line, "1.1") {
				pipeline.WriteString(text)
			}
		}
	}
	w.same(t, "pipeline", pipeline.String(), true)
	s.wait("path=/fail", "a mistake")
}

func TestRawHTTPBodies(t *testing.T) {
	t.Parallel()
	_, all := startTwins(t)
	large := strings.Repeat("0123456789abcdef", 20000)
	for name, text := range map[string]string{
		"length":       "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"large":        fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large),
		"chunked":      "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"expect":       "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
		"expect, sent": "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
		"unread":       "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"incomplete":   "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
		"broken":       "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
		"long head":    "GET /a HTTP/1.1\r\nHost: x\r\nX: " + large + "\r\n\r\n",
		"long target":  "GET /" + large + " HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for _, w := range []twin{all[twinPlain], all[twinStreams]} {
			if got := w.same(t, name, text+"GET /head HTTP/1.1\r\nHost: x\r\n\r\n", true); got == "" {
				t.Errorf("%s: no answer", name)
			}
		}
	}
}

func TestRawHTTPLimits(t *testing.T) {
	t.Parallel()
	_, all := startTwins(t)
	w := all[twinSmall]
	for status, text := range map[string]string{
		"431": "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 200) + "\r\n\r\n",
		"413": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nsome",
		"200": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
	} {
		if got := w.same(t, status, text, true); !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") {
			t.Errorf("got %q, want %s", got, status)
		}
	}
	got := w.same(t, "chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n", true)
	if !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("got %q", got)
	}
}

// Peers that stop sending.
func TestRawHTTPTimeouts(t *testing.T) {
	t.Parallel()
	_, all := startTwins(t)
	const chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"
	w := all[twinTimeouts]
	for _, tt := range []struct{ name, text, want string }{
		{"idle", "", ""},
		{"idle again", "GET /head HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "},
		{"head", "GET /head HTTP/1.1\r\n", "HTTP/1.1 408 "},
		{"body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 408 "},
	} {
		w.inTime(t, tt.name, tt.text, tt.want)
	}
	// A handler that has been called when the body stalls answers with 400. On a raw socket that is the case for all chunked
	// bodies: the worker belongs to the connection anyway.
	for _, text := range []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", chunked} {
		all[twinStalls].inTime(t, "streamed", text, "HTTP/1.1 400 ")
	}
	twin{w.server, w.server}.inTime(t, "chunked", chunked, "HTTP/1.1 408 ")
	twin{w.raw, w.raw}.inTime(t, "chunked", chunked, "HTTP/1.1 400 ")
}

// inTime expects the same answers, which begin with want, where there are time limits. On a busy machine such a limit may be over
// before a worker has begun, so there are some attempts.
func (w twin) inTime(t *testing.T, name, text, want string) {
	t.Helper()
	var server, raw string
	for range 10 {
		server, raw = say(t, w.server, text, false), say(t, w.raw, text, false)
		if server == raw && strings.HasPrefix(server, want) && (want != "" || server == "") {
			return
		}
	}
	t.Errorf("%s: want %q\nthe server: %.1000q\nraw socket: %.1000q", name, want, server, raw)
}

// Output that has reached the minimum size is sent while the handler runs.
func TestRawHTTPOutputGoesOut(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	_, all := startTwins(t, mark)
	for _, address := range []string{all[twinPlain].server, all[twinPlain].raw} {
		p := dial(t, address)
		io.WriteString(p, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(resp.Body); string(rest) != "end" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		os.Remove(mark)
	}
}

// With more connections than workers, idle connections hold their workers no longer than idle_timeout, and none is
// lost.
func TestRawHTTPMany(t *testing.T) {
	t.Parallel()
	_, all := startTwins(t)
	const conns = 20
	errs := make(chan error, conns)
	for range conns {
		go func() {
			c, err := net.Dial("tcp", all[twinTimeouts].raw)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, "GET /head HTTP/1.1\r\nHost: x\r\n\r\n")
			_, err = http.ReadResponse(bufio.NewReader(c), nil)
			errs <- err
			io.Copy(io.Discard, c)
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// An idle connection does not delay a graceful stop.
func TestRawHTTPGracefulStop(t *testing.T) {
	t.Parallel()
	s, all := startTwins(t)
	p := dial(t, all[twinPlain].raw)
	io.WriteString(p, "GET /head HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	s.signal(syscall.SIGTERM)
	p.hearsEnd()
	s.exit(0)
	if strings.Contains(s.log.String(), "workers were killed") {
		t.Error("workers were killed")
	}
}
