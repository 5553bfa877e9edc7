package handler_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"

	"golang.org/x/net/http2"
)

// echoLines writes each line that it reads in capital letters, until the end.
func echoLines(c net.Conn) {
	defer c.Close()
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(c, strings.ToUpper(line))
	}
}

// expectText reads text, and nothing less.
func expectText(t *testing.T, in io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(in, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got[:n], err, text)
	}
}

// A handler that takes over its connection, in the ways that handlers for net/http do. The client sends a line of the next protocol
// together with its request.
func TestHijack(t *testing.T) {
	const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n"
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		head string
	}{
		{"own head", func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(conn, upgraded)
			echoLines(conn)
		}, upgraded},
		{"WriteHeader", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Upgrade", "lines")
			w.Header().Set("Connection", "Upgrade")
			w.Header()["Date"] = nil
			w.WriteHeader(101)
			w.(http.Flusher).Flush()
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			go echoLines(conn) // the handler returns
		}, upgraded},
		{"after hints", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			rw.WriteString(upgraded)
			rw.Flush()
			echoLines(conn)
		}, "HTTP/1.1 103 Early Hints\r\n\r\n" + upgraded},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, in := talk(t, serveHTTP(t, c.h), "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: lines\r\n\r\nearly\n")
			expectText(t, in, c.head+"EARLY\n")
			io.WriteString(conn, "late\n")
			expectText(t, in, "LATE\n")
			conn.(*net.TCPConn).CloseWrite()
			if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// What a handler sees that has taken over its connection.
func TestHijackedHandler(t *testing.T) {
	result := make(chan string, 1)
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		conn, _, err := w.(http.Hijacker).Hijack()
		_, _, again := w.(http.Hijacker).Hijack()
		_, write := w.Write([]byte("x"))
		flush := http.NewResponseController(w).Flush()
		w.WriteHeader(500)
		result <- fmt.Sprint(err, errors.Is(again, http.ErrHijacked), write == http.ErrHijacked, flush == http.ErrHijacked, ctx.Err())
		conn.Close()
		panic("this is logged, and nothing else")
	})
	_, in := talk(t, address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := <-result; got != "<nil> true true true <nil>" {
		t.Error(got)
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// Reasons for which a connection cannot be taken over: the handler may still answer, or the response is broken off.
func TestNoHijack(t *testing.T) {
	refused := func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
			panic("taken over")
		}
		io.WriteString(w, "refused")
	}
	flushedFirst := func(w http.ResponseWriter, r *http.Request) {
		flushed(w)
		refused(w, r)
	}
	for _, c := range []struct {
		name, request string
		h             http.HandlerFunc
	}{
		{"body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", refused},
		{"response", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", flushedFirst},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, in := talk(t, serveHTTP(t, c.h), c.request)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); string(body) != "refused" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	u, stop := serve(quiet.OnLoop(handler.HTTP(http.HandlerFunc(refused))))
	defer stop()
	_, in := talk(t, strings.TrimPrefix(u, "http://"), "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("on the loop: %v, %v", res, err)
	}
}

// A hijacked connection counts until it is closed, does not hold up a shutdown, and its goroutine does not count against the limit.
func TestHijackedCounts(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const count = 3
	taken := make(chan net.Conn, count)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		taken <- c
		echoLines(c)
	})
	if err := e.Serve(ln, quiet.Blocking(handler.HTTP(h), 1), 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	var mine []net.Conn
	for range count {
		c, _ := talk(t, ln.Addr(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		var theirs net.Conn
		select {
		case theirs = <-taken:
		case <-time.After(patience):
			t.Fatal("not taken over")
		}
		defer theirs.Close()
		mine = append(mine, c)
	}
	if n := e.Conns(); n != count {
		t.Errorf("%d connections, want %d", n, count)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range mine {
		io.WriteString(c, "after the shutdown\n")
		expectText(t, c, "AFTER THE SHUTDOWN\n")
		c.Close()
	}
	for deadline := time.Now().Add(patience); e.Conns() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still counted", e.Conns())
		}
	}
}

// CONNECT reaches handlers that ask for it.
func TestConnect(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Port() != "443" {
			http.Error(w, r.Host, http.StatusForbidden)
			return
		}
		w.Header()["Date"] = nil
		w.WriteHeader(200)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		echoLines(c)
	})
	if err := e.Serve(ln, quiet.Blocking(handler.HTTP(h), 1), 0, engine.Limits{Connect: true}); err != nil {
		t.Fatal(err)
	}
	c, in := talk(t, ln.Addr(), "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\nearly\n")
	expectText(t, in, "HTTP/1.1 200 OK\r\n\r\nEARLY\n")
	c.Close()
	_, in = talk(t, ln.Addr(), "CONNECT a.test:80 HTTP/1.1\r\nHost: b.test\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 403 || string(body) != "a.test:80\n" || !res.Close {
		t.Errorf("status %d, %q, close %v", res.StatusCode, body, res.Close)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("bytes of a refused tunnel were answered: %q", rest)
	}
}

// CONNECT reaches them over HTTP/2 too: the client is that of x/net. A server that is not asked for it says so.
func TestConnectH2(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Port() != "443" || r.Method != "CONNECT" || r.ProtoMajor != 2 {
			http.Error(w, r.Method+r.Host, http.StatusForbidden)
			return
		}
		w.WriteHeader(200)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		echoLines(c)
	})
	for _, may := range []bool{true, false} {
		e, err := engine.New(engine.Options{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Shutdown(context.Background())
		ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Serve(ln, quiet.Blocking(handler.HTTP(h), 1), 0, engine.Limits{Connect: may, H2C: true}); err != nil {
			t.Fatal(err)
		}
		client := &http2.Transport{AllowHTTP: true, DialTLSContext: func(_ context.Context, network, _ string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, ln.Addr())
		}}
		defer client.CloseIdleConnections()
		connect := func(to string) (*http.Response, *io.PipeWriter) {
			out, in := io.Pipe()
			t.Cleanup(func() { in.Close() })
			res, err := client.RoundTrip(&http.Request{Method: "CONNECT", URL: &url.URL{Scheme: "http", Host: to}, Host: to, Body: out})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { res.Body.Close() })
			return res, in
		}
		if !may {
			if res, _ := connect("a.test:443"); res.StatusCode != http.StatusNotImplemented {
				t.Errorf("without Limits.Connect: %s", res.Status)
			}
			continue
		}
		for range 2 {
			res, in := connect("a.test:443")
			if res.StatusCode != 200 {
				t.Fatal(res.Status)
			}
			for _, line := range []string{"one", strings.Repeat("x", 100_000)} {
				go io.WriteString(in, line+"\n")
				expectText(t, res.Body, strings.ToUpper(line)+"\n")
			}
			in.Close()
			if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
				t.Errorf("%q, %v at the end", rest, err)
			}
		}
		res, _ := connect("b.test:80")
		if body, err := io.ReadAll(res.Body); res.StatusCode != 403 || string(body) != "CONNECTb.test:80\n" || err != nil {
			t.Errorf("%s, %q, %v", res.Status, body, err)
		}
	}
}
