package cache

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/httpparse"
)

// patience bounds every wait of a test.
const patience = time.Minute

// rig is an engine with a cache before a net/http handler.
type rig struct {
	t       *testing.T
	cache   *Cache
	address string
	clock   *atomic.Int64 // the clock of the cache, in nanoseconds
	log     chan engine.Access
	conns   func() int64 // how many connections are open

	refusals func() map[logging.Event]uint64
}

// shifted is a backend whose loops have a clock that the test moves.
type shifted struct {
	*Cache
	ahead *atomic.Int64
}

type shiftedLoop struct {
	backend.Loop
	ahead *atomic.Int64
}

func (l shiftedLoop) Now() int64 { return 1e15 + l.ahead.Load() }

func (l shiftedLoop) CountRefused(x backend.Exchange, h *httpparse.Head, err error) {
	backend.CountRefused(l.Loop, x, h, err)
}

func (s *shifted) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return s.Cache.Attach(shiftedLoop{l, s.ahead})
}

// rigOptions are what differs between rigs.
type rigOptions struct {
	Options
	loops  int
	limits engine.Limits
	logs   bool
}

func newRig(t *testing.T, o rigOptions, h http.HandlerFunc) *rig {
	return newRigOf(t, o, handler.Config{Logger: slog.New(slog.DiscardHandler)}.Blocking(handler.HTTP(h), 64))
}

func newRigOf(t *testing.T, o rigOptions, b backend.Backend) *rig {
	t.Helper()
	r := &rig{t: t, clock: new(atomic.Int64), cache: New(b, o.Options)}
	eo := engine.Options{Loops: max(1, o.loops), Logger: slog.New(slog.DiscardHandler)}
	if o.logs {
		r.log = make(chan engine.Access, 1000)
		eo.AccessLog = func(a *engine.Access) {
			r.log <- engine.Access{Status: a.Status, Cache: a.Cache, Queue: a.Queue, Service: a.Service, Upstream: a.Upstream, Sent: a.Sent}
		}
		eo.Trace = &engine.Tracing{Children: true, Sample: func([16]byte, bool, bool) bool { return true }}
	}
	e, err := engine.New(eo)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, &shifted{r.cache, r.clock}, 0, o.limits); err != nil {
		t.Fatal(err)
	}
	r.address, r.conns, r.refusals = ln.Addr(), e.Conns, e.Refusals
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Drain(ctx); err != nil {
			t.Error("drain:", err)
		}
		for r.cache.store.renewing.Load() > 0 && ctx.Err() == nil { // Drain does not wait for what has no client, and the loops are about to end
			time.Sleep(time.Millisecond)
		}
		r.cache.Close()
		if err := e.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		r.account()
	})
	return r
}

// account checks that all memory was given back.
func (r *rig) account() {
	r.t.Helper()
	s := r.cache.store
	if n := s.used.Load(); n != 0 {
		r.t.Errorf("%d bytes are still counted", n)
	}
	if n := s.waiting.Load(); n != 0 {
		r.t.Errorf("%d runs are still counted as waiting", n)
	}
	if n := s.renewing.Load(); n != 0 {
		r.t.Errorf("%d fills without a client are still counted", n)
	}
}

// pass moves the clock of the cache.
func (r *rig) pass(d time.Duration) { r.clock.Add(int64(d)) }

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request on a connection of its own, and reads the response.
func (r *rig) ask(method, path string, fields ...string) reply {
	r.t.Helper()
	a, err := r.tryAsk(method, path, fields...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (r *rig) tryAsk(method, path string, fields ...string) (a reply, err error) {
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		return a, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n", method, path)
	body := ""
	for _, f := range fields {
		if strings.HasPrefix(f, "\n") {
			body = f[1:]
		} else {
			text += f + "\r\n"
		}
	}
	if _, err := io.WriteString(c, text+"\r\n"+body); err != nil {
		return a, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return a, err
	}
	content, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(content)}, err
}

// get expects a response with this body.
func (r *rig) get(path, body string, fields ...string) reply {
	r.t.Helper()
	a := r.ask("GET", path, fields...)
	if a.body != body {
		r.t.Fatalf("GET %s %s: %d with body %q instead of %q", path, strings.Join(fields, ", "), a.status, cut(a.body), cut(body))
	}
	return a
}

func cut(s string) string { return s[:min(len(s), 100)] }

// counter is a handler that answers with the number of its calls.
func counter(fields ...string) (h http.HandlerFunc, calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		fmt.Fprintf(w, "%d", n)
	}, calls
}

// until waits until something is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// dial connects and sends text.
func (r *rig) dial(text string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}
