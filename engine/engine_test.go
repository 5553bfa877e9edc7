package engine

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// waitMost bounds every wait for what must come.
const waitMost = 2 * time.Minute

// start serves b on a free port and returns the address. At the end of the test no connection may be left.
func start(t *testing.T, o Options, lim Limits, b backend.Backend) (*Engine, string) {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		e.Shutdown(ctx)
		noConns(t, e)
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, b, 0, lim); err != nil {
		t.Fatal(err)
	}
	return e, ln.Addr()
}

// peer is a client that speaks in bytes.
type peer struct {
	t *testing.T
	stream
	r *bufio.Reader
}

// stream is a connection that can be closed in one direction.
type stream interface {
	net.Conn
	CloseWrite() error
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	return dialOn(t, "tcp", addr)
}

// dialAs is dial for one of several clients, each with an address of its own: what they open is no burst.
func dialAs(t *testing.T, client int, addr string) *peer {
	t.Helper()
	return dialWith(t, net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(client))}}, "tcp", addr)
}

func dialOn(t *testing.T, network, addr string) *peer {
	t.Helper()
	return dialWith(t, net.Dialer{}, network, addr)
}

func dialWith(t *testing.T, d net.Dialer, network, addr string) *peer {
	t.Helper()
	c, err := d.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(waitMost))
	return &peer{t, c.(stream), bufio.NewReader(c)}
}

func (p *peer) say(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

// hears reads a response and checks its status; it returns the body.
func (p *peer) hears(status int) string {
	p.t.Helper()
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.StatusCode != status {
		p.t.Fatalf("status %d %q, want %d", resp.StatusCode, body, status)
	}
	return string(body)
}

// hearsEnd reads the end of the connection, and closes the other direction, so that the engine need not linger.
func (p *peer) hearsEnd() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err != io.EOF {
		p.t.Fatalf("read %q, %v; want the end of the connection", b, err)
	}
	p.Close()
}

// endsAfterRequest makes the last request on a connection that has been ending since the given time. The engine waits a second
// for it. Only a test that is slower than that may find the connection ended.
func (p *peer) endsAfterRequest(since time.Time) {
	p.t.Helper()
	io.WriteString(p, get("/hello"))
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		if time.Since(since) < time.Second {
			p.t.Fatalf("no response to the last request: %v", err)
		}
		return
	}
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != 200 {
		p.t.Fatalf("status %d", resp.StatusCode)
	}
	p.hearsEnd()
}

func (p *peer) hearsReset() {
	p.t.Helper()
	_, err := io.Copy(io.Discard, p.r)
	if err == nil || !strings.Contains(err.Error(), "reset") {
		p.t.Fatalf("error %v, want a reset", err)
	}
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func TestKeepAlive(t *testing.T) {
	e, addr := start(t, Options{Loops: 2}, Limits{}, &testBackend{window: 64})
	p := dial(t, addr)
	for range 3 {
		p.say(get("/hello"))
		if got := p.hears(200); got != "hello" {
			t.Errorf("body %q", got)
		}
	}
	if e.Conns() != 1 {
		t.Errorf("%d connections, want 1", e.Conns())
	}
	p.say("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	p.hears(200)
	p.hearsEnd()
}

func TestPipelining(t *testing.T) {
	_, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dial(t, addr)
	var all strings.Builder
	for i := range 50 {
		all.WriteString(post("/echo", fmt.Sprint("request ", i)))
		all.WriteString(get("/hello"))
	}
	p.say(all.String())
	for i := range 50 {
		if got, want := p.hears(200), fmt.Sprint("request ", i); got != want {
			t.Fatalf("body %q, want %q", got, want)
		}
		if got := p.hears(200); got != "hello" {
			t.Fatalf("body %q", got)
		}
	}
}

func TestByteByByte(t *testing.T) {
	_, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dial(t, addr)
	for _, b := range []byte(post("/echo", "slowly") + "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" + get("/hello")) {
		p.say(string(b))
	}
	for _, want := range []string{"slowly", "abcde", "hello"} {
		if got := p.hears(200); got != want {
			t.Errorf("body %q, want %q", got, want)
		}
	}
}

func TestHTTP10(t *testing.T) {
	_, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dial(t, addr)
	p.say("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	p.hears(200)
	p.say("GET /hello HTTP/1.0\r\n\r\n")
	p.hears(200)
	p.hearsEnd()
}

func TestRefusals(t *testing.T) {
	lim := Limits{HeadBytes: 1000, BodyBytes: 100}
	_, addr := start(t, Options{Loops: 1}, lim, &testBackend{window: 64})
	for _, c := range []struct {
		name, in string
		want     int
	}{
		{"no HTTP", "hello there\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two framings", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"unknown coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		{"version", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
		{"head too large", "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n", 431},
		{"body too large", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", 413},
		{"chunked body too large", "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("x", 101), 413},
		{"chunked body broken", "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\n\r\n", 417},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dial(t, addr)
			p.say(c.in)
			p.hears(c.want)
			p.hearsEnd()
		})
	}
}

// Bodies of any size and framing pass through a small window unchanged.
func TestBodies(t *testing.T) {
	b := &testBackend{window: 1000}
	_, addr := start(t, Options{Loops: 2}, Limits{}, b)
	for _, size := range []int{0, 1, 1000, 1001, 70_000, 3_000_000} {
		body := bytes.Repeat([]byte("moonbridge"), size/10+1)[:size]
		for name, r := range map[string]io.Reader{"length": bytes.NewReader(body), "chunked": io.MultiReader(bytes.NewReader(body))} {
			resp, err := http.Post("http://"+addr+"/echo", "text/plain", r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s, %d bytes: got %d bytes, %v", name, size, len(got), err)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestExpectContinue(t *testing.T) {
	_, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dial(t, addr)
	p.say("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	line, err := p.r.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	p.r.ReadString('\n')
	p.say("12345")
	if got := p.hears(200); got != "12345" {
		t.Errorf("body %q", got)
	}
}

// While a peer does not read, the backend's output waits. In the end the peer gets the whole response.
func TestSlowReader(t *testing.T) {
	const size = 32 << 20
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{}, b)
	p := dial(t, addr)
	p.say(get(fmt.Sprintf("/big/%d", size)))
	eventually(t, "the backend's output is held up", func() bool { return b.count(&b.held) > 0 })
	if b.count(&b.ended) != 0 {
		t.Error("a response of 32 MiB was taken from the backend before the peer read a byte")
	}
	if got := len(p.hears(200)); got != size {
		t.Errorf("%d bytes, want %d", got, size)
	}
	p.say(get("/hello"))
	p.hears(200)
}

func TestFailures(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{}, b)
	p := dial(t, addr)
	p.say(get("/fail/502"))
	p.hears(502)
	p.say(get("/fail/503"))
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("%v, %v; want 503 with Retry-After: 2", resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	p.say(get("/begin-fail"))
	p.hearsReset()

	b.mu.Lock()
	b.refuse = backend.ErrQueueFull
	b.mu.Unlock()
	p = dial(t, addr)
	p.say(post("/echo", "abc"))
	p.hears(503)
	b.mu.Lock()
	b.refuse = backend.ErrHeadTooLarge
	b.mu.Unlock()
	large := dial(t, addr)
	large.say(get("/hello"))
	large.hears(431)
	large.hearsEnd()
	b.mu.Lock()
	b.refuse = nil
	b.mu.Unlock()
	p.say(get("/hello")) // the connection is still usable
	p.hears(200)
}

func TestPeerGone(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{}, b)
	p := dial(t, addr)
	p.say(get("/slow"))
	eventually(t, "the exchange starts", func() bool { return b.count(&b.started) == 1 })
	p.stream.(*net.TCPConn).SetLinger(0)
	p.Close()
	eventually(t, "the backend hears that the peer is gone", func() bool { return b.count(&b.cancelled) == 1 })
}

func TestHalfClosedPeerIsAnswered(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{}, b)
	p := dial(t, addr)
	p.say(get("/slow"))
	p.CloseWrite()
	eventually(t, "the exchange starts", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.slow) == 1 })
	b.release()
	if got := p.hears(200); got != "slow" {
		t.Errorf("body %q", got)
	}
	p.hearsEnd()
}

func TestTruncatedBody(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{BufferBody: 10}, b)
	p := dial(t, addr)
	p.say("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nonly this")
	p.CloseWrite()
	p.hears(400)
	p.hearsEnd()
	p = dial(t, addr)
	p.say("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nonly this")
	p.CloseWrite()
	p.hears(400)
	p.hearsEnd()
}

// A handler that answers without its body ends the connection: the rest of the body must not be taken for a request.
func TestUnreadBody(t *testing.T) {
	b := &testBackend{window: 10}
	_, addr := start(t, Options{Loops: 1}, Limits{BufferBody: 10}, b)
	p := dial(t, addr)
	p.say("POST /never-read HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat(get("/hello"), 100))
	p.hears(200)
	p.hearsEnd()
	if n := b.count(&b.started); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
}

// The reactor's timers reach the connections. conn_deadline_test.go tests, without sockets, when they fire.
func TestIdleTimeout(t *testing.T) {
	_, addr := start(t, Options{Loops: 1}, Limits{IdleTimeout: time.Millisecond}, &testBackend{window: 64})
	dial(t, addr).hearsEnd()
}

func TestShutdown(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := start(t, Options{Loops: 2}, Limits{}, b)
	idle, busy := dial(t, addr), dial(t, addr)
	idle.say(get("/hello"))
	idle.hears(200)
	busy.say(get("/slow"))
	eventually(t, "the exchange starts", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.slow) == 1 })
	done := make(chan error)
	go func() { done <- e.Shutdown(context.Background()) }()
	idle.hearsEnd()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("a connection was accepted after the shutdown began")
	}
	released := time.Now()
	b.release()
	busy.hears(200)
	busy.endsAfterRequest(released)
	if err := wait(t, done, "the end of the shutdown"); err != nil {
		t.Error(err)
	}
}

func TestShutdownDeadline(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := start(t, Options{Loops: 2}, Limits{}, b)
	p := dial(t, addr)
	p.say(get("/slow"))
	eventually(t, "the exchange starts", func() bool { return b.count(&b.started) == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("Shutdown: %v", err)
	}
	p.hearsReset()
	if b.count(&b.cancelled) != 1 {
		t.Error("the exchange was not cancelled")
	}
}

func TestMaxConns(t *testing.T) {
	e, addr := start(t, Options{Loops: 1, MaxConns: 2}, Limits{}, &testBackend{window: 64})
	a, b := dial(t, addr), dial(t, addr)
	a.say(get("/hello"))
	a.hears(200)
	b.say(get("/hello"))
	b.hears(200)
	p := dial(t, addr)
	p.hears(503)
	a.Close()
	eventually(t, "a place is free", func() bool { return e.Conns() == 1 })
	p = dial(t, addr)
	p.say(get("/hello"))
	p.hears(200)
}

// A connection above the limit is answered, also if its request is there already: the answer is followed by an orderly end. A Unix socket tells
// its peer of bytes that were unread, even if that has got everything.
func TestMaxConnsAfterTheRequest(t *testing.T) {
	for name, setup := range map[string]*TLS{"HTTP": nil, "TLS": {Config: serverConfig()}} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 1, MaxConns: 1})
			ln, err := e.Open("unix", filepath.Join(t.TempDir(), "s"), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ln.SetTLS(setup)
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
				t.Fatal(err)
			}
			dialOn(t, "unix", ln.Addr())
			eventually(t, "the first connection is there", func() bool { return e.Conns() == 1 })
			var c net.Conn
			onLoop(t, e.Loop(0), func() {
				if c, err = net.Dial("unix", ln.Addr()); err == nil {
					_, err = io.WriteString(c, get("/hello"))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(waitMost))
			if text, err := io.ReadAll(c); len(text) == 0 || err != nil {
				t.Errorf("%q, %v; want an answer and the end", text, err)
			}
		})
	}
}
