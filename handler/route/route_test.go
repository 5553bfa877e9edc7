package route_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/proxy"
	"moonbridge/handler/route"
	"moonbridge/handler/upstream"
)

// patience bounds every wait of a test.
const patience = time.Minute

var quiet = handler.Config{Logger: slog.New(slog.DiscardHandler)}

// named answers every request with its name and the target.
func named(name string) backend.Backend {
	return quiet.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) {
		w.Write(fmt.Appendf(nil, "%s %s", name, r.Target()))
	}))
}

// serve serves a backend and returns its address.
func serve(t *testing.T, b backend.Backend, lim engine.Limits) (address string) {
	t.Helper()
	return serveWith(t, b, lim, engine.Options{Loops: 2})
}

// serveWith is serve with options of the engine.
func serveWith(t *testing.T, b backend.Backend, lim engine.Limits, o engine.Options) (address string) {
	t.Helper()
	o.Logger, o.Spool.Dir = slog.New(slog.DiscardHandler), t.TempDir()
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, b, 0, lim); err != nil {
		t.Fatal(err)
	}
	return ln.Addr()
}

// ask sends a request as it is, and returns what follows the head of the response.
func ask(t *testing.T, address, request string) (body string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ = strings.Cut(string(all), "\r\n\r\n")
	return body
}

// The longest path counts, in whatever spelling a request has it, and the request stays as it was sent.
func TestRoute(t *testing.T) {
	r, err := route.New([]route.Rule{
		{Path: "/api/", To: named("api")}, {Path: "/api/v2/", To: named("v2")}, {Path: "/one", To: named("one")},
		{Path: "/a b/", To: named("space")}, {Path: "/50%/", To: named("percent")},
	}, named("next"))
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, r, engine.Limits{})
	for target, want := range map[string]string{
		"/":                   "next",
		"/api":                "next",
		"/apix":               "next",
		"/api/":               "api",
		"/api/x?/api/v2/":     "api",
		"/api/v2/x":           "v2",
		"/api/v2":             "api",
		"/one":                "one",
		"/one?q":              "one",
		"/one/":               "next",
		"/a%20b/c":            "space",
		"/50%25/c":            "percent",
		"/%61pi/x":            "api",
		"/x/../api/x":         "api",
		"/x/%2e%2e/api/x":     "next", // an encoded dot segment stays what it is
		"/api/../x":           "next",
		"/api/v2/../x":        "api",
		"/api/./v2/x":         "v2",
		"/api/%2e%2e/x":       "api",
		"/api%2fx":            "next",
		"/api/x%2fy":          "api",
		"/api/%zz":            "api",
		"//api/x":             "next",
		"/API/x":              "next",
		"http://h/api/x":      "api",
		"http://h":            "next",
		"/../api/x":           "api",
		"/api/x/../../api/v2": "api",
	} {
		got := ask(t, address, "GET "+target+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if got != want+" "+target {
			t.Errorf("%s: %q, want %q", target, got, want+" "+target)
		}
	}
	if got := ask(t, address, "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); got != "next *" {
		t.Errorf("*: %q", got)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"", "does not begin with a slash"}, {"api/", "does not begin with a slash"}, {"/a//b", "is not a plain path"},
		{"/a/../b", "is not a plain path"}, {"/./", "is not a plain path"}, {"/a\\b", "is not a plain path"},
		{"/a\x00b", "is not a plain path"}, {"/twice", "is given twice"},
	} {
		_, err := route.New([]route.Rule{{Path: "/twice", To: named("")}, {Path: tt.path, To: named("")}}, named(""))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.path, err, tt.want)
		}
	}
	if _, err := route.New(make([]route.Rule, route.RulesMax+1), named("")); err == nil {
		t.Error("there is no bound")
	}
}

// target is a server that answers with what it gets.
func target(t *testing.T) *upstream.Set {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Connection", "close") // so that bodies end before there is a connection
		fmt.Fprintf(w, "%d %v %s %v", len(body), err, r.Trailer.Get("T"), bytes.Equal(body, bytes.Repeat([]byte("0123456789"), len(body)/10)))
	}))
	t.Cleanup(s.Close)
	set, err := upstream.New(upstream.Options{}, upstream.Target{Addr: s.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A body in a file reaches a backend that takes no files, in full and with its trailer, and one that takes them.
func TestBodiesInFiles(t *testing.T) {
	files := quiet.Blocking(handler.Func(func(w *handler.Response, r *handler.Request) {
		n, err := io.Copy(io.Discard, r)
		w.Write(fmt.Appendf(nil, "next %d %v", n, err))
	}), 0)
	b, err := route.New([]route.Rule{{Path: "/p/", To: proxy.New(proxy.Config{To: proxy.To(target(t))})}}, files)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, b, engine.Limits{SpoolBody: true, BufferBody: 1000})
	for _, n := range []int{0, 10, 1000, 1010, 100_000, 3_000_000} {
		body := strings.Repeat("0123456789", n/10)
		for path, want := range map[string]string{"/p/x": fmt.Sprintf("%d <nil>  true", n), "/x": fmt.Sprintf("next %d <nil>", n)} {
			request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, n, body)
			if got := ask(t, address, request); got != want {
				t.Errorf("%s, %d bytes: %q, want %q", path, n, got, want)
			}
		}
		if n == 0 {
			continue
		}
		request := fmt.Sprintf("POST /p/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", n, body)
		if got := ask(t, address, request); !strings.Contains(got, fmt.Sprintf("%d <nil>  true", n)) {
			t.Errorf("%d bytes in chunks, no trailer: %q", n, got)
		}
		request = fmt.Sprintf("POST /p/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n%x\r\n%s\r\n0\r\nT: v\r\n\r\n", n, body)
		if got := ask(t, address, request); !strings.Contains(got, fmt.Sprintf("%d <nil> v true", n)) {
			t.Errorf("%d bytes in chunks: %q", n, got)
		}
	}
}

// A target that does not take the body, or is not there, or a client that leaves, ends the exchange, and gives the file back.
func TestBodiesInFilesBroken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	set, err := upstream.New(upstream.Options{}, upstream.Target{Addr: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	next := quiet.Blocking(handler.Func(func(*handler.Response, *handler.Request) {}), 0)
	b, err := route.New([]route.Rule{{Path: "/p/", To: proxy.New(proxy.Config{To: proxy.To(set)})}}, next)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, b, engine.Limits{SpoolBody: true, BufferBody: 1000})
	const n = 50 << 20
	request := fmt.Sprintf("POST /p/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))

	answered := make(chan string, 1)
	go func() { answered <- ask(t, address, request) }()
	c := <-accepted // takes nothing, and then goes away
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if got := <-answered; !strings.Contains(got, "Bad Gateway") {
		t.Errorf("%q", got)
	}

	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	c = <-accepted
	client.Close()
	c.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(c); len(got) >= n && err == nil {
		t.Errorf("the target has got all %d bytes although the client has left", len(got))
	}
	c.Close()
}

// A backend that is missing is an error of New, which names the path.
func TestMissingBackend(t *testing.T) {
	there, err := route.New(nil, handler.OnLoop(handler.Func(func(*handler.Response, *handler.Request) {})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := route.New([]route.Rule{{Path: "/a"}}, there); err == nil || !strings.Contains(err.Error(), `"/a": has no backend`) {
		t.Error(err)
	}
	if _, err := route.New(nil, nil); err == nil {
		t.Error("no error without a backend for other paths")
	}
	if _, err := backend.AttachWrapped(nil, nil); err == nil {
		t.Error("no error of AttachWrapped")
	}
}
