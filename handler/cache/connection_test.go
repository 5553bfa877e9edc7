package cache

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// What the client sends without waiting is answered in order, from the store and by the handler.
func TestPipelined(t *testing.T) {
	h, calls := counter("Cache-Control: max-age=60")
	r := newRig(t, rigOptions{}, h)
	r.get("/a", "1")
	r.get("/b", "2")
	var text strings.Builder
	paths := []string{"/a", "/b", "/c", "/a", "/a", "/d", "/b", "/c"}
	for _, path := range paths {
		fmt.Fprintf(&text, "GET %s HTTP/1.1\r\nHost: example.com\r\n\r\n", path)
	}
	_, br := r.dial(text.String())
	got := map[string]string{"/a": "1", "/b": "2"}
	for _, path := range paths {
		body := readBody(t, br)
		if want, known := got[path]; known && body != want {
			t.Errorf("%s: %q instead of %q", path, body, want)
		}
		got[path] = body
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("%d calls", n)
	}
}

func readBody(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A connection stays open if the client wants that, whatever the one did that has filled the store.
func TestPersistence(t *testing.T) {
	h, _ := counter("Cache-Control: max-age=60")
	r := newRig(t, rigOptions{}, h)
	r.get("/", "1") // with Connection: close
	c, br := r.dial("GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.Header.Get("Connection") != "keep-alive" {
		t.Fatalf("%v %v", res, err)
	}
	io.Copy(io.Discard, res.Body)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if res, err = http.ReadResponse(br, nil); err != nil || res.Close {
		t.Fatalf("%v %v", res, err)
	}
	io.Copy(io.Discard, res.Body)
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
	if res, err = http.ReadResponse(br, nil); err != nil || !res.Close {
		t.Fatalf("%v %v", res, err)
	}
	if _, err := io.Copy(io.Discard, br); err != nil {
		t.Fatal(err)
	}
}

// Options.Close ends the connection after each response, as a listener with Connection: close among its fixed fields wants.
func TestClose(t *testing.T) {
	h, _ := counter("Cache-Control: max-age=60")
	r := newRig(t, rigOptions{Options: Options{Close: true}}, h)
	r.get("/", "1")
	_, br := r.dial("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if res, err := http.ReadResponse(br, nil); err != nil || !res.Close {
		t.Fatalf("%v %v", res, err)
	}
	if _, err := io.Copy(io.Discard, br); err != nil {
		t.Fatal(err)
	}
}

// A chunked response is kept without its framing: clients of HTTP/1.0 get it too.
func TestChunked(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
		for i := range 100 {
			fmt.Fprintf(w, "%d,", i)
			w.(http.Flusher).Flush()
		}
	})
	first := r.ask("GET", "/")
	a := r.get("/", first.body)
	if a.header.Get("Content-Length") != fmt.Sprint(len(first.body)) || calls.Load() != 1 {
		t.Errorf("%v, %d calls", a.header, calls.Load())
	}
	_, br := r.dial("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
	if body := readBody(t, br); body != first.body {
		t.Errorf("HTTP/1.0: %q", body)
	}
}

// A request of HTTP/1.0 may fill the store: its response ends with the connection.
func TestUntilClose(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, rigOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		io.WriteString(w, "b")
	})
	_, br := r.dial("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
	if body := readBody(t, br); body != "ab" {
		t.Errorf("%q", body)
	}
	r.get("/", "ab")
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

// Interim responses reach the client that has caused the call, and are not kept.
func TestInterim(t *testing.T) {
	r := newRigOf(t, rigOptions{}, handler.OnLoop(handler.Func(func(w *handler.Response, _ *handler.Request) {
		w.Set("Link", "</style.css>; rel=preload")
		w.Interim(103)
		w.Set("Cache-Control", "max-age=60")
		w.WriteString("page")
	})))
	_, br := r.dial("GET / HTTP/1.1\r\nHost: example.com\r\n\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 103 {
		t.Fatalf("%v %v", res, err)
	}
	if body := readBody(t, br); body != "page" {
		t.Errorf("%q", body)
	}
	if res, err = http.ReadResponse(br, nil); err != nil || res.StatusCode != 200 {
		t.Fatalf("second response: %v %v", res, err)
	}
}

// A client that reads slowly holds neither the handler nor others that want the same. What it gets is complete.
func TestSlowClient(t *testing.T) {
	for _, spool := range []bool{false, true} {
		body := strings.Repeat("0123456789abcdef", 60_000)
		var calls atomic.Int64
		o := rigOptions{Options: Options{EntryBytes: 2 << 20, Bytes: 8 << 20}}
		if spool {
			o.limits.SpoolOutput = 1 << 30
		}
		r := newRig(t, o, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, body)
		})
		r.get("/", body)
		var slow []net.Conn
		for range 5 {
			slow = append(slow, r.dialSmall("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"))
		}
		r.get("/", body)
		r.cache.PurgePrefix("") // the slow ones go on all the same
		for _, c := range slow {
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(res.Body); string(got) != body || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls", calls.Load())
		}
	}
}

// dialSmall connects with a small receive buffer, and sends text.
func (r *rig) dialSmall(text string) net.Conn {
	r.t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// Clients that go while they wait or while they read leave nothing behind (the rig looks).
func TestClientsGo(t *testing.T) {
	release := make(chan struct{})
	body := strings.Repeat("x", 900_000)
	var calls atomic.Int64
	r := newRig(t, rigOptions{loops: 2}, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			<-release
		}
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, body)
	})
	request := "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	filler, _ := r.dial(request)
	until(t, "the handler runs", func() bool { return calls.Load() == 1 })
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, r.dialSmall(request))
	}
	until(t, "they wait", func() bool { return r.cache.store.waiting.Load() == 20 })
	for _, c := range waiting[:10] {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	until(t, "some have gone", func() bool { return r.cache.store.waiting.Load() == 10 })
	filler.(*net.TCPConn).SetLinger(0)
	filler.Close()
	close(release)
	r.get("/", body)
	for _, c := range waiting[10:] {
		if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
			t.Error(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

// Cache-Status says what the cache has done (RFC 9211).
func TestCacheStatus(t *testing.T) {
	h, _ := counter("Cache-Control: max-age=10, stale-while-revalidate=100", `ETag: "x"`)
	r := newRig(t, rigOptions{Options: Options{Status: true}}, h)
	want := func(value string, fields ...string) {
		t.Helper()
		if a := r.ask("GET", "/", fields...); a.header.Get("Cache-Status") != value || len(a.header.Values("Cache-Status")) != 1 {
			t.Errorf("%v instead of %q", a.header, value)
		}
	}
	want("moonbridge; fwd=miss")
	want("moonbridge; hit; ttl=10")
	want("moonbridge; hit; ttl=10", `If-None-Match: "x"`)
	want("moonbridge; fwd=request", "Cache-Control: no-cache")
	r.pass(30 * time.Second)
	want("moonbridge; hit; ttl=-20")
}

// Requests with directives are obeyed, or not, as the option says.
func TestRequestDirectives(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		h, _ := counter("Cache-Control: max-age=60")
		r := newRig(t, rigOptions{Options: Options{IgnoreDirectives: ignore}}, h)
		r.get("/", "1")
		if ignore {
			r.get("/", "1", "Cache-Control: no-cache")
			r.get("/", "1", "Pragma: no-cache")
			continue
		}
		if a := r.ask("GET", "/x", "Cache-Control: only-if-cached"); a.status != 504 {
			t.Errorf("only-if-cached: %v", a)
		}
		r.get("/", "1", "Cache-Control: only-if-cached")
		r.get("/", "1", "Cache-Control: no-store")
		r.get("/", "2", "Cache-Control: no-cache")
		r.get("/", "2")
		r.get("/", "3", "Pragma: no-cache")
		r.get("/", "4", "Cache-Control: max-age=0")
		r.get("/y", "5", "Cache-Control: no-store")
		r.get("/y", "6")
	}
}

// refusing is a backend that can be made to refuse exchanges.
type refusing struct {
	backend.Backend
	err atomic.Pointer[error]
}

type refusingLoop struct {
	backend.LoopBackend
	b *refusing
}

func (b *refusing) Attach(l backend.Loop) (backend.LoopBackend, error) {
	next, err := b.Backend.Attach(l)
	return &refusingLoop{next, b}, err
}

func (l *refusingLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if err := l.b.err.Load(); err != nil {
		return nil, *err
	}
	return l.LoopBackend.Start(x, h, listener, body, more)
}

// A backend that takes no exchange is an error like others: a stale response answers, if one may.
func TestBackendRefuses(t *testing.T) {
	h, _ := counter("Cache-Control: max-age=1, stale-if-error=100")
	b := &refusing{Backend: handler.Blocking(handler.HTTP(h), 4)}
	r := newRigOf(t, rigOptions{}, b)
	r.get("/", "1")
	r.pass(5 * time.Second)
	b.err.Store(&backend.ErrQueueFull)
	r.get("/", "1")
	r.get("/", "1")
	if a := r.ask("GET", "/", "Cache-Control: no-cache"); a.status != 503 {
		t.Errorf("no-cache: %v", a)
	}
	if a := r.ask("GET", "/other"); a.status != 503 {
		t.Errorf("another page: %v", a)
	}
	other := errors.New("broken")
	b.err.Store(&other)
	r.get("/", "1")
	b.err.Store(nil)
	r.pass(5 * time.Second)
	r.get("/", "2")
}

// A request that has waited for the response to another one, and is refused then, is counted and answered like one that is refused at once.
func TestRefusedAfterWaiting(t *testing.T) {
	var many error = &backend.TooMany{RetryAfter: time.Second, Fields: []byte("RateLimit: x\r\n")}
	for _, c := range []struct {
		err    *error
		status int
		cause  string
		limit  string
	}{
		{&backend.ErrQueueFull, 503, "queue_limit", ""},
		{&many, 429, "rate_limit", "x"},
	} {
		wait := make(chan struct{})
		b := &refusing{Backend: handler.Blocking(handler.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-wait
			w.Header().Set("Cache-Control", "no-store")
		})), 4)}
		r := newRigOf(t, rigOptions{}, b)
		answered := make(chan error, 2)
		ask := func(status int, limit string) {
			a, err := r.tryAsk("GET", "/")
			if got := a.header.Get("RateLimit"); err == nil && (a.status != status || got != limit) {
				err = fmt.Errorf("status %d, RateLimit %q; want %d, %q", a.status, got, status, limit)
			}
			answered <- err
		}
		go ask(200, "")
		until(t, "the first has been passed on", func() bool { return r.cache.Stats().Misses == 1 })
		go ask(c.status, c.limit)
		until(t, "the second waits", func() bool { return r.cache.store.waiting.Load() == 1 })
		b.err.Store(c.err)
		close(wait)
		for range 2 {
			if err := <-answered; err != nil {
				t.Error(err)
			}
		}
		counted := uint64(0)
		for event, n := range r.refusals() {
			if event.Message == "requests refused" && event.Status == c.status && event.Cause == c.cause {
				counted += n
			}
		}
		if counted != 1 {
			t.Errorf("%d refusals are counted, want 1", counted)
		}
	}
}

// laterRefusing is a backend that takes every exchange, and refuses it then.
type laterRefusing struct {
	on  backend.Loop
	err error
}

func (b *laterRefusing) Attach(on backend.Loop) (backend.LoopBackend, error) {
	return &laterRefusing{on, b.err}, nil
}

func (b *laterRefusing) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.on.Post(func() { backend.Refuse(x, b.err) })
	return refusedRunning{}, nil
}

// refusedRunning is an exchange of a laterRefusing. Its requests have no body.
type refusedRunning struct{ backend.Running }

func (refusedRunning) PeerEnd() {}
func (refusedRunning) Cancel()  {}

// A backend that refuses a request after it has taken it, as one behind a lookup of files does, has the same answer sent as one that
// refuses it at once.
func TestRefusedLater(t *testing.T) {
	r := newRigOf(t, rigOptions{}, &laterRefusing{err: &backend.TooMany{RetryAfter: time.Second, Fields: []byte("RateLimit: x\r\n")}})
	for _, c := range []struct{ method, field string }{{"GET", "A: b"}, {"GET", "Cache-Control: no-store"}, {"PUT", "A: b"}} {
		a := r.ask(c.method, "/", c.field)
		if a.status != 429 || a.header.Get("RateLimit") != "x" || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s with %s: %d, %v", c.method, c.field, a.status, a.header)
		}
	}
}

// The wrapper has the optional interfaces of what it wraps.
func TestOptionalInterfaces(t *testing.T) {
	for _, c := range []struct {
		next  backend.LoopBackend
		files bool
	}{
		{plainLoop{}, false},
		{struct {
			plainLoop
			backend.FileBackend
		}{}, true},
	} {
		got := (&loop{Wrapped: backend.Wrap(c.next)}).wrapped()
		if _, files := got.(backend.FileBackend); files != c.files {
			t.Errorf("%T: files %v", c.next, files)
		}
	}
}

type plainLoop struct{}

func (plainLoop) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	return nil, backend.ErrStopped
}

// Nothing is allocated for a response from the store.
func TestHitAllocates(t *testing.T) {
	l := &stillLoop{}
	c := New(nil, Options{})
	part := &loop{c: c, store: c.store, on: l, Wrapped: backend.Wrap(plainLoop{})}
	f := facts{status: 200, control: newResponseControl(), lifetime: 1000}
	v := newVariant(&f, "", []byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"), []byte("page"), 0)
	q := new(query)
	head := parseRequest(t, "GET /page?x=y", "Host: Example.com", "Accept: text/html", "User-Agent: x")
	q.read(head, true)
	a := c.store.ask(q, nil, false, 0)
	if !c.store.admit(v, 0) {
		t.Fatal("no room")
	}
	a.fill.finish(v, 0, 0)
	x := new(countingExchange)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := part.Start(x, head, 0, nil, false); err != nil {
			t.Fatal(err)
		}
		part.EndTurn()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if x.done != 1001 || x.bytes != 1001*len("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAge: 0\r\n\r\npage") {
		t.Errorf("%d exchanges, %d bytes", x.done, x.bytes)
	}
}

type stillLoop struct{ backend.Loop }

func (*stillLoop) Now() int64 { return 0 }

type countingExchange struct{ done, bytes int }

func (x *countingExchange) Output(a, b []byte, _ bool) int {
	x.bytes += len(a) + len(b)
	return len(a) + len(b)
}
func (x *countingExchange) Done(backend.End)                      { x.done++ }
func (x *countingExchange) Complete(backend.Running, backend.End) {}
func (x *countingExchange) Left(backend.Running)                  {}
func (x *countingExchange) Failed(int, time.Duration)             {}
func (x *countingExchange) BodyRoom()                             {}
func (x *countingExchange) BodyWanted()                           {}
func (x *countingExchange) Addrs() (local, remote netip.AddrPort) { return }

// passing is a backend that says of another one that it passes requests on, as a proxy does.
type passing struct{ backend.Backend }

type passingLoop struct{ backend.LoopBackend }

type passingRunning struct{ backend.Running }

func (passingRunning) Upstream() (address string, sent int) { return "192.0.2.1:80", 2 }

func (b passing) Attach(l backend.Loop) (backend.LoopBackend, error) {
	next, err := b.Backend.Attach(l)
	return passingLoop{next}, err
}

func (l passingLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	r, err := l.LoopBackend.Start(x, h, listener, body, more)
	return passingRunning{r}, err
}

// Traces hear of the server behind a proxy that is behind a cache, unless the cache has answered.
func TestUpstream(t *testing.T) {
	goes := handler.Config{Logger: slog.New(slog.DiscardHandler)}.Blocking(handler.HTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "s-maxage=100")
	})), 4)
	r := newRigOf(t, rigOptions{logs: true}, passing{goes})
	r.get("/", "")
	r.get("/", "")
	r.ask("POST", "/")
	for i, want := range []string{"MISS 192.0.2.1:80 2", "HIT  0", " 192.0.2.1:80 2"} {
		a := <-r.log
		if got := fmt.Sprintf("%s %s %d", a.Cache, a.Upstream, a.Sent); got != want {
			t.Errorf("exchange %d: %q, want %q", i, got, want)
		}
	}
}
