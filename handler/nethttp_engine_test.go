package handler_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/cache"
	"moonbridge/handler/compress"
)

// patience bounds every wait of a test.
const patience = time.Minute

var quiet = handler.Config{Logger: slog.New(slog.DiscardHandler)}

// serveHTTP serves a net/http handler on an engine, and returns its address.
func serveHTTP(t *testing.T, h http.HandlerFunc) (address string) {
	u, stop := serve(quiet.Blocking(handler.HTTP(h), 0))
	t.Cleanup(stop)
	return strings.TrimPrefix(u, "http://")
}

// talk connects and sends a request.
func talk(t *testing.T, address, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// brokenUpstream answers each connection with text, and resets it when the peer has read that.
func brokenUpstream(t *testing.T, text string) *url.URL {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			bufio.NewReader(c).ReadString('\n')
			io.WriteString(c, text)
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

// A response that the upstream breaks off must not look complete. Small parts are collected, so the break may come before or
// after the first byte has gone out.
func TestReverseProxyBreaksOff(t *testing.T) {
	for _, flush := range []time.Duration{0, -1} {
		for name, head := range map[string]string{
			"chunked":     "Transfer-Encoding: chunked\r\n\r\n",
			"length":      "Content-Length: 1000000\r\n\r\n",
			"until close": "Connection: close\r\n\r\n",
		} {
			for _, size := range []int{8, 100_000} {
				t.Run(fmt.Sprintf("%s, %d bytes, flush %d", name, size, flush), func(t *testing.T) {
					part := strings.Repeat("x", size)
					if name == "chunked" {
						part = fmt.Sprintf("%x\r\n%s\r\n", size, part)
					}
					proxy := httputil.NewSingleHostReverseProxy(brokenUpstream(t, "HTTP/1.1 200 OK\r\n"+head+part))
					proxy.FlushInterval = flush
					proxy.ErrorLog = log.New(io.Discard, "", 0)
					_, in := talk(t, serveHTTP(t, proxy.ServeHTTP), "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
					res, err := http.ReadResponse(in, nil)
					if err != nil {
						return // nothing but a reset
					}
					body, err := io.ReadAll(res.Body)
					if err == nil && res.StatusCode != http.StatusBadGateway { // the reset was faster than the head
						t.Errorf("status %d, a complete body of %d bytes", res.StatusCode, len(body))
					}
				})
			}
		}
	}
}

// Early hints before the body of a request with Expect: 100-continue.
func TestHintsBeforeContinue(t *testing.T) {
	read := make(chan struct{})
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		<-read
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	c, in := talk(t, address, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	for _, status := range []int{103, 100} {
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != status {
			t.Fatalf("%v %v, want %d", res, err, status)
		}
		if status == 103 {
			close(read)
		}
	}
	io.WriteString(c, "hello")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != "hello <nil>" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}

// What a handler's panic becomes on the wire.
func TestPanicOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name   string
		h      http.HandlerFunc
		status int // 0: no response
		whole  bool
	}{
		{"panic", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic("x") }, 500, true},
		{"panic after hints", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); panic("x") }, 500, true},
		{"panic after flush", func(w http.ResponseWriter, r *http.Request) { flushed(w); panic("x") }, 200, false},
		{"abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, 0, false},
		{"abort after bytes", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic(http.ErrAbortHandler) }, 0, false},
		{"abort after flush", func(w http.ResponseWriter, r *http.Request) { flushed(w); panic(http.ErrAbortHandler) }, 200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := serveHTTP(t, c.h)
			for range 20 {
				_, in := talk(t, address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				res, err := http.ReadResponse(in, nil)
				for err == nil && res.StatusCode < 200 {
					res, err = http.ReadResponse(in, nil)
				}
				if err != nil && (c.whole || !errors.Is(err, syscall.ECONNRESET)) {
					t.Fatal(err)
				}
				if err != nil {
					continue // the reset may overtake the head
				}
				_, err = io.ReadAll(res.Body)
				if res.StatusCode != c.status || (err == nil) != c.whole {
					t.Fatalf("status %d, %v", res.StatusCode, err)
				}
			}
		})
	}
}

func flushed(w http.ResponseWriter) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(err)
	}
}

// Trailer fields of a request travel to the handler.
func TestRequestTrailerOnTheWire(t *testing.T) {
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %v", body, err, r.Trailer)
	})
	c, in := talk(t, address, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3\r\nabc\r\n0\r\nSum: ")
	io.WriteString(c, "7\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "abc <nil> map[Sum:[7]]" {
		t.Errorf("got %q", body)
	}
}

// ConnContext is called once for a connection, whatever backends are in front of the handler.
func TestConnContextBehindOthers(t *testing.T) {
	type key struct{}
	var conns atomic.Int32
	o := handler.HTTPOptions{ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, key{}, conns.Add(1))
	}}
	inner := quiet.Blocking(o.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Context().Value(key{}), string(text))
	})), 0)
	compressed, err := compress.New(inner, compress.Options{Types: []string{"text/*"}}, compress.NewShared())
	if err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	z := gzip.NewWriter(&body)
	io.WriteString(z, "hello")
	z.Close()
	coded := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", body.Len(), body.String())
	const get, post = "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
	for _, tt := range []struct {
		name, request, want string
		b                   backend.Backend
	}{
		{"compressed", get, "1", compressed},
		{"decoded", coded, "1hello", compress.NewDecoder(inner, -1)},
		{"cached", get, "1", cache.New(inner, cache.Options{})},
		{"not cached", post, "1hello", cache.New(inner, cache.Options{})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conns.Store(0)
			u, stop := serve(tt.b)
			defer stop()
			c, in := talk(t, strings.TrimPrefix(u, "http://"), "")
			for range 2 {
				io.WriteString(c, tt.request)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(res.Body); string(got) != tt.want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, tt.want)
				}
			}
			c.Close()
		})
	}
}

// The options that an http.Server has besides its Handler.
func TestHTTPOptions(t *testing.T) {
	type key string
	var conns atomic.Int32
	var lines strings.Builder
	o := handler.HTTPOptions{
		BaseContext: context.WithValue(context.Background(), key("base"), "b"),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			_, read := c.Read(nil)
			text := fmt.Sprint(conns.Add(1), ctx.Value(key("base")), c.RemoteAddr(), read != nil, ctx.Value(http.ServerContextKey) != nil)
			return context.WithValue(ctx, key("conn"), text)
		},
		ErrorLog: log.New(&lines, "", 0),
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("alas")
		}
		fmt.Fprint(w, r.Context().Value(key("base")), r.Context().Value(key("conn")), r.Context().Value(http.ServerContextKey).(*http.Server).ErrorLog == o.ErrorLog)
	})
	for name, b := range map[string]backend.Backend{"blocking": quiet.Blocking(o.HTTP(h), 0), "loop": quiet.OnLoop(o.HTTP(h))} {
		t.Run(name, func(t *testing.T) {
			conns.Store(0)
			lines.Reset()
			u, stop := serve(b)
			var open []net.Conn
			for conn := 1; conn <= 2; conn++ {
				c, in := talk(t, strings.TrimPrefix(u, "http://"), "")
				open = append(open, c)
				for range 2 {
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
					res, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					want := fmt.Sprintf("b%db%v true truetrue", conn, c.LocalAddr())
					if got, _ := io.ReadAll(res.Body); string(got) != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				io.WriteString(c, "GET /panic HTTP/1.1\r\nHost: h\r\n\r\n")
				if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 500 {
					t.Errorf("%v, %v", res, err)
				}
			}
			for _, c := range open {
				c.Close()
			}
			stop()
			if got := lines.String(); strings.Count(got, "http: panic serving 127.0.0.1:") != 2 || strings.Count(got, "alas\ngoroutine") != 2 {
				t.Errorf("logged %q", got)
			}
		})
	}
}
