package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const rateLimited = `@
listen{
	port, { proto = "local", path = %q },
	rate_limit = { rate = %s, burst = 3 }, static = { ["/file"] = %q },
	connect = http.generate_handler({ static_headers = { "X-Own: yes" } }, function(request)
		io.stderr:write("called\n")
		request:send_status("200 OK")
		request:send_data("page")
	end),
}`

// Requests beyond the rate are answered by the loops, also after a reload, and the worker does not hear of them.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	if err := os.WriteFile(file, []byte("file"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.write(rateLimited, socket, "0.001", file)
	s := start(t, a.script)
	p := dial(t, s.address(0)) // all on one connection: a refusal leaves it open
	for n, want := range []int{200, 200, 200, 429, 429} {
		if got, _, err := p.ask("/"); got != want || err != nil {
			t.Fatalf("request %d: %d %v", n, got, err)
		}
	}
	res, body, err := fetch("POST", s.url("/"), strings.Repeat("b", 100_000))
	if err != nil || res.StatusCode != 429 || body != "Too Many Requests\n" {
		t.Fatalf("%v %v %q", res, err, body)
	}
	checkRefused(t, res)
	for range 5 {
		if got := get(t, s.url("/file")); got != "file" {
			t.Errorf("a file: %s", got)
		}
	}
	s.wait("requests refused", "status=429", "cause=rate_limit")
	s.reload()
	if got := status(t, "GET", s.url("/")); got != 429 {
		t.Errorf("after a reload: %d", got)
	}
	a.write(rateLimited, socket, "0.002", file)
	s.reload()
	if got := status(t, "GET", s.url("/")); got != 200 {
		t.Errorf("with another rate: %d", got)
	}
	eventually(t, "the handler was called 4 times", func() bool { return strings.Count(s.log.String(), "msg=called") == 4 })
}

func checkRefused(t *testing.T, res *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Retry-After": "", "RateLimit-Policy": `"ip";q=3;w=3000`, "RateLimit": `"ip";r=0;t=`, "X-Own": "yes",
	} {
		if got := res.Header.Get(name); got == "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Each address has a rate of its own; those behind a Unix socket have none.
func TestRateLimitAddresses(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "socket"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.write(rateLimited, socket, "0.001", file)
	s := start(t, a.script)
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		for n, want := range []int{200, 200, 200, 429} {
			if got := statusFrom(t, from, s.url("/")); got != want {
				t.Errorf("%s, request %d: %d", from, n, got)
			}
		}
	}
	for range 5 {
		if got := statusAt(t, socket); got != 200 {
			t.Errorf("Unix socket: %d", got)
		}
	}
}

// Clients of a proxy that is trusted have a rate each, and the proxy one of its own.
func TestRateLimitTrustedProxies(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, trusted_proxies = { "127.0.0.1" }, rate_limit = { rate = 0.001, burst = 2 }, connect = say("page") }`)
	s := start(t, a.script)
	p := dial(t, s.address(0))
	for _, fields := range []string{"X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n", "Forwarded: for=192.0.2.3\r\n", ""} {
		for _, want := range []int{200, 200, 429} {
			p.say("GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields)
			p.hears(want)
		}
	}
}

// statusFrom is status for a client with another address.
func statusFrom(t *testing.T, from, url string) int {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return statusBy(t, d.DialContext, url)
}

// statusAt is status for a Unix socket.
func statusAt(t *testing.T, path string) int {
	t.Helper()
	return statusBy(t, func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }, "http://localhost/")
}

func statusBy(t *testing.T, dial func(context.Context, string, string) (net.Conn, error), url string) int {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}, Timeout: patience}
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
