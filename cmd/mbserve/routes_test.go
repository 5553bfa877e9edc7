package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// routeTarget is a server that says what it has got. It counts the bytes of bodies.
func routeTarget(t *testing.T, name string) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/slow/"):
			<-r.Context().Done()
		case r.Header.Get("Upgrade") == "websocket":
			c, b, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			io.Copy(c, b)
		default:
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%s %s %s for=%s proto=%s %d %v", name, r.Host, r.RequestURI,
				r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), n, err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// startRouted starts a server with routes. The access log is in file.
func startRouted(t *testing.T) (s *instance, first, second, file string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"a", "sub"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("file "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, second = routeTarget(t, "first"), routeTarget(t, "second")
	file = filepath.Join(t.TempDir(), "access.log")
	fifo := filepath.Join(filepath.Dir(file), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, "--access-log", file, "--access-format", "json", "testdata/routes.lua", first, second, dir, fifo)
	return s, first, second, file
}

// Of paths, files and the handler, the longest path counts. Requests that are passed on need no worker.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s, _, second, file := startRouted(t)
	busy := make(chan error, 1)
	go func() {
		res, err := http.Get(s.url("/busy"))
		if err == nil {
			res.Body.Close()
		}
		busy <- err
	}()
	worker, err := os.OpenFile(filepath.Join(filepath.Dir(file), "fifo"), os.O_WRONLY, 0) // when the only worker has opened it
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	s2 := strings.TrimPrefix(second, "http://")
	host := s.address(0)
	n := 0
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/api/x?y=%20z", 200, "first " + host + " /api/x?y=%20z for=127.0.0.1 proto=http 0 <nil>"},
		{"/api/", 200, "first " + host + " /api/ for=127.0.0.1 proto=http 0 <nil>"},
		{"/api/v2/x", 200, "second " + s2 + " /api/v2/x for=127.0.0.1 proto=http 0 <nil>"},
		{"/exact", 200, "first " + host + " /exact for=127.0.0.1 proto=http 0 <nil>"},
		{"/files/a", 200, "file a"},
		{"/files/sub/x", 200, "first " + host + " /files/sub/x for=127.0.0.1 proto=http 0 <nil>"},
		{"/api/v2/static/a", 200, "file a"},
		{"/api/v2/static/b", 404, "Not Found"},
		{"/gone/x", 502, "Bad Gateway"},
		{"/slow/x", 504, "Gateway Timeout"},
	} {
		res, err := http.Get(s.url(tt.path))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s: %d %q, want %d %q", tt.path, res.StatusCode, body, tt.status, tt.want)
		}
		if fixed := res.Header.Get("X-Fixed"); (fixed != "") != (tt.want[0] != 'f' && tt.want[0] != 's' || strings.HasPrefix(tt.want, "file")) {
			t.Errorf("%s: X-Fixed is %q", tt.path, fixed)
		}
		n++
		e := parseEntry(t, fileLines(t, file, n)[n-1])
		if e.Status != tt.status || e.Target != tt.path || e.Client != "127.0.0.1" || !e.Complete {
			t.Errorf("%s: access log: %+v", tt.path, e)
		}
	}
	s.wait(`msg="requests not answered by their target"`, `cause="no connection to the target"`, "route=/gone/")
	s.wait(`msg="requests not answered by their target"`, `cause="no response in time"`, "route=/slow/")
	seen := map[string]bool{}
	for range 20 {
		res, err := http.Get(s.url("/both/"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		name, _, _ := strings.Cut(string(body), " ")
		seen[name] = true
	}
	if !seen["first"] || !seen["second"] {
		t.Errorf("only %v have got requests", seen)
	}
	worker.Close()
	if err := <-busy; err != nil {
		t.Error(err)
	}
}

// Uploads of any size pass, chunked or not.
func TestRoutesBodies(t *testing.T) {
	t.Parallel()
	s, _, _, _ := startRouted(t)
	for _, size := range []int64{0, 1, 100_000, 20 << 20} {
		for _, chunked := range []bool{false, true} {
			body := io.LimitReader(zeros{}, size)
			req, err := http.NewRequest("POST", s.url("/api/up"), body)
			if err != nil {
				t.Fatal(err)
			}
			if !chunked {
				req.ContentLength = size
				if size == 0 {
					req.Body = nil
				}
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if want := fmt.Sprintf(" %d <nil>", size); !strings.HasSuffix(string(got), want) {
				t.Errorf("%d bytes, chunked %v: %q", size, chunked, got)
			}
		}
	}
}

// A WebSocket passes, with what the client has sent early.
func TestRoutesUpgrade(t *testing.T) {
	t.Parallel()
	s, _, _, _ := startRouted(t)
	c, err := net.Dial("tcp", s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET /api/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	b := make([]byte, 6)
	if _, err := io.ReadFull(r, b); string(b) != "frames" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Fields of a client about another client reach the target only from a trusted proxy.
func TestRoutesForwarded(t *testing.T) {
	t.Parallel()
	s, _, _, _ := startRouted(t)
	for from, want := range map[string]string{
		"127.0.0.1": "for=127.0.0.1 proto=http", "127.0.0.2": "for=203.0.113.5, 127.0.0.2 proto=https",
	} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", s.address(0))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /api/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: https\r\n\r\n")
		got, err := io.ReadAll(c)
		if !strings.Contains(string(got), want) || err != nil {
			t.Errorf("from %s: %q, %v, want %q", from, got, err, want)
		}
	}
}

// A reload changes routes. A host name and a Unix socket are targets, too.
func TestRoutesReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "target"))
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "unix") }))
	defer ln.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(routeTarget(t, "named"), "http://"), ":")
	app := newApplication(t)
	app.write(`@ listen{ port, routes = { ["/r/"] = { proxy = "unix:%s/target" } }, connect = say "handler" }`, dir)
	s := start(t, app.script)
	ask := func() string {
		t.Helper()
		res, err := http.Get(s.url("/r/x"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return string(body)
	}
	if got := ask(); got != "unix" {
		t.Errorf("%q", got)
	}
	app.write(`@ listen{ port, routes = { ["/r/"] = { proxy = "http://localhost:%s" } }, connect = say "handler" }`, port)
	s.reload()
	if got := ask(); !strings.HasPrefix(got, "named ") {
		t.Errorf("%q", got)
	}
	app.write(`@ listen{ port, connect = say "handler" }`)
	s.reload()
	if got := ask(); got != "handler" {
		t.Errorf("%q", got)
	}
}

// Mistakes are errors of the script.
func TestRoutesMistakes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"http://127.0.0.1:1"`:                                                 "option routes: table expected, got string",
		`{ ["/a/"] = "http://127.0.0.1:1" }`:                                   `option routes: "/a/": a table, as in { proxy = "http://127.0.0.1:9000" } expected, got string`,
		`{ { proxy = "http://127.0.0.1" } }`:                                   "routes has an unexpected entry [1]",
		`{ ["a/"] = { proxy = "http://127.0.0.1:1" } }`:                        `"a/": does not begin with a slash`,
		`{ ["/../"] = { proxy = "http://127.0.0.1:1" } }`:                      `"/../": is not a plain path`,
		`{ ["/a/"] = {} }`:                                                     `"/a/": proxy is missing`,
		`{ ["/a/"] = { host = "client" } }`:                                    `"/a/": proxy is missing`,
		`{ ["/a/"] = { proxy = {} } }`:                                         `proxy: a URL, as in`,
		`{ ["/a/"] = { proxy = "127.0.0.1:9000" } }`:                           `"127.0.0.1:9000" is not a URL, as in "http://127.0.0.1:9000"`,
		`{ ["/a/"] = { proxy = { "https://1.2.3.4", "http://1.2.3.4" } } }`:    "either all https or all http",
		`{ ["/a/"] = { proxy = "http://1.2.3.4", ca = "x" } }`:                 "ca and server_name are for targets with https",
		`{ ["/a/"] = { proxy = "https://1.2.3.4", ca = "missing" } }`:          "ca: open missing",
		`{ ["/a/"] = { proxy = "https://1.2.3.4", server_name = "a b" } }`:     "is not the name of a host",
		`{ ["/a/"] = { proxy = "http://1.2.3.4", weights = { 1, 2 } } }`:       "weights has to have a number for each target",
		`{ ["/a/"] = { proxy = "http://a.example", weights = { 1 } } }`:        "weights has to have a number for each target",
		`{ ["/a/"] = { proxy = "http://1.2.3.4", check = "x" } }`:              "is not a path that begins with a slash",
		`{ ["/a"] = { proxy = "http://1.2.3.4", strip_prefix = true } }`:       "has to end in a slash",
		`{ ["/a/"] = { proxy = "http://127.0.0.1/v1" } }`:                      "has more than a host and a port",
		`{ ["/a/"] = { proxy = { "http://a.example", "http://b.example" } } }`: "a host name can only be the only target",
		`{ ["/a/"] = { proxy = { "http://1.2.3.4", "http://1.2.3.4:80" } } }`:  "is given twice",
		`{ ["/a/"] = { proxy = "http://1.2.3" } }`:                             `"1.2.3" is not a host`,
		`{ ["/a/"] = { proxy = "http://1.2.3.4:0" } }`:                         `"0" is not a port`,
		`{ ["/a/"] = { proxy = "unix:app.sock" } }`:                            "is not unix: and the whole path of a socket",
		`{ ["/a/"] = { proxy = "http://1.2.3.4", host = "x" } }`:               `host: is "client" or "target"`,
		`{ ["/a/"] = { proxy = "http://1.2.3.4", retrie = 1 } }`:               `unknown option "retrie" (did you mean "retries"?)`,
		`{ ["/a/"] = { proxy = "http://1.2.3.4", slots = 0 } }`:                "slots: 0 is not in the range from 1",
		`{ ["/a/"] = { proxy = "http://1.2.3.4", connect_timeout = false } }`:  "connect_timeout: must be greater than 0",
	} {
		_, stderr := runToEnd(t, 3, writeScript(t, `listen{ { proto = "tcp4", port = 0 }, connect = require("moonbridge_http").generate_handler(print), routes = `+value+` }`))
		if !strings.Contains(stderr, want) {
			t.Errorf("%s: %s, want %q", value, stderr, want)
		}
	}
	_, stderr := runToEnd(t, 3, writeScript(t, `listen{ { proto = "tcp4", port = 0 }, connect = print, routes = { ["/"] = { proxy = "http://1.2.3.4" } } }`))
	if want := "option routes: no listener of the pool has an HTTP handler"; !strings.Contains(stderr, want) {
		t.Errorf("%s, want %q", stderr, want)
	}
}
