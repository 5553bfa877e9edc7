package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/handler/proxyproto"

	"golang.org/x/net/http2"
)

// openCount is an OpenLimit that counts.
type openCount struct {
	most int

	mu     sync.Mutex
	open   map[netip.Addr]int
	opened int
}

func newOpenCount(most int) *openCount { return &openCount{most: most, open: make(map[netip.Addr]int)} }

func (c *openCount) Opened(client netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[client] >= c.most {
		return false
	}
	c.open[client]++
	c.opened++
	return true
}

func (c *openCount) Closed(client netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[client]--; c.open[client] == 0 {
		delete(c.open, client)
	}
}

// of is how many connections of a client are open. Any number below 0 would stay.
func (c *openCount) of(client string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[netip.MustParseAddr(client)]
}

// taken is how many places were taken so far.
func (c *openCount) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

// becomes waits until so many connections of 127.0.0.1 are open.
func (c *openCount) becomes(t *testing.T, n int) {
	t.Helper()
	eventually(t, "the connections are counted", func() bool { return c.of("127.0.0.1") == n })
}

// Connections beyond the limit are reset. When one ends, there is room for another. All loops count together.
func TestOpenLimit(t *testing.T) {
	e := startEngine(t, Options{Loops: 2})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	limit := newOpenCount(5)
	ln.SetOpenLimit(limit)
	if err := serveHTTP(e, ln); err != nil {
		t.Fatal(err)
	}
	var open []*peer
	for range 5 {
		p := dial(t, ln.Addr())
		p.say(get("/hello"))
		p.hears(200)
		open = append(open, p)
	}
	for range 3 {
		isReset(t, ln.Addr(), "")
	}
	isServedFrom(t, "127.0.0.2", ln.Addr(), "")
	open[2].Close()
	limit.becomes(t, 4)
	p := dial(t, ln.Addr())
	p.say(get("/hello"))
	p.hears(200)
	isReset(t, ln.Addr(), "")
	limited := uint64(0)
	for _, s := range e.Stats() {
		limited += s.Limited
	}
	counted := e.Refusals()[logging.Event{Level: slog.LevelWarn, Message: connectionsRefused, Cause: causeOpenLimit}]
	if limited != 4 || counted != 4 {
		t.Errorf("%d refused, %d counted", limited, counted)
	}

	// With another limit, old connections end where they were counted.
	second := newOpenCount(1)
	ln.SetOpenLimit(second)
	if err := serveHTTP(e, ln); err != nil {
		t.Fatal(err)
	}
	last := dial(t, ln.Addr())
	last.say(get("/hello"))
	last.hears(200)
	isReset(t, ln.Addr(), "")
	for _, p := range append(open, p) {
		p.Close()
	}
	limit.becomes(t, 0)
	if n := second.of("127.0.0.1"); n != 1 {
		t.Errorf("%d in the second limit", n)
	}
	ln.SetOpenLimit(nil)
	if err := serveHTTP(e, ln); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		isServedFrom(t, "127.0.0.1", ln.Addr(), "")
	}
	last.Close()
	second.becomes(t, 0)
}

// countedTaker is a socketTaker that says when connections have ended: when the test does.
type countedTaker struct {
	socketTaker
	ended chan func()
}

func (b *countedTaker) Attach(backend.Loop) (backend.LoopBackend, error) {
	return &struct {
		testLoopBackend
		countedTakerLoop
	}{countedTakerLoop: countedTakerLoop{b}}, nil
}

type countedTakerLoop struct{ b *countedTaker }

func (l countedTakerLoop) StartSocket(int, int, netip.AddrPort, netip.AddrPort) error {
	panic("the connection is counted")
}

func (l countedTakerLoop) StartCountedSocket(fd, _ int, _, _ netip.AddrPort, ended func()) error {
	if l.b.err != nil {
		return l.b.err
	}
	os.NewFile(uintptr(fd), "socket").Close()
	l.b.ended <- ended
	return nil
}

// hijacks gives each connection to a function, for goroutines.
func hijacks(do func(c net.Conn)) backend.Backend {
	return handler.Blocking(handler.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		do(c)
	})), 0)
}

// Whatever becomes of a connection, its place is free when it has ended, and not before.
func TestOpenLimitEnds(t *testing.T) {
	type world struct {
		e     *Engine
		ln    *Listener
		limit *openCount
	}
	plain := func(w *world) error { return w.e.Serve(w.ln, &testBackend{window: 64}, 0, Limits{H2C: true}) }
	protocol := func(p backend.Protocol) func(w *world) error {
		return func(w *world) error { return w.e.ServeProtocol(w.ln, p, ProtocolOptions{}) }
	}
	secure := func(serve func(w *world) error) func(w *world) error {
		return func(w *world) error {
			config := serverConfig()
			config.NextProtos = []string{"h2", "http/1.1"}
			w.ln.SetTLS(&TLS{Config: config})
			return serve(w)
		}
	}
	prefaced := func(w *world) error { w.ln.SetPreface(proxyproto.New(waitMost)); return plain(w) }
	asked := func(t *testing.T, w *world) *peer {
		p := dial(t, w.ln.Addr())
		p.say(get("/hello"))
		p.hears(200)
		return p
	}
	askedTLS := func(t *testing.T, w *world) *peer {
		p := dialTLS(t, w.ln.Addr(), clientConfig())
		p.say(get("/hello"))
		p.hears(200)
		return p
	}
	// said sends text, and waits for the end of the connection.
	said := func(text string) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			p.say(text)
			io.Copy(io.Discard, p)
			p.Close()
		}
	}
	kept := make(chan net.Conn, 1)
	secured := &socketTaker{taken: make(chan *net.UnixConn, 1), remotes: make(chan netip.AddrPort, 1)}
	taker := &countedTaker{ended: make(chan func(), 1)}
	// leaves has a connection leave its loop, and the test end it.
	leaves := func(dial func(t *testing.T, w *world) *peer) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			p := dial(t, w)
			c := waitFor(t, kept, "connection")
			w.limit.becomes(t, 1)
			c.Close()
			w.limit.becomes(t, 0)
			p.Close()
		}
	}
	asks := func(t *testing.T, w *world) *peer {
		p := dial(t, w.ln.Addr())
		p.say(get("/hello"))
		return p
	}
	asksTLS := func(t *testing.T, w *world) *peer {
		p := dialTLS(t, w.ln.Addr(), clientConfig())
		p.say(get("/hello"))
		return p
	}
	detaches := opener(func(c backend.Conn) backend.Stream {
		return &calls{t: t, data: func(c backend.Conn) {
			conn, err := c.Detach()
			if err != nil {
				t.Error(err)
			}
			kept <- conn
		}}
	})
	sockets := func(w *world) error { return w.e.ServeSockets(w.ln, taker, 0) }
	for _, c := range []struct {
		name  string
		serve func(w *world) error
		run   func(t *testing.T, w *world)
		from  string // whose connection is counted; default: 127.0.0.1
	}{
		{name: "the client closes", serve: plain, run: func(t *testing.T, w *world) { asked(t, w).Close() }},
		{name: "the client sends nothing", serve: plain, run: func(t *testing.T, w *world) { dial(t, w.ln.Addr()).Close() }},
		{name: "the client resets", serve: plain, run: func(t *testing.T, w *world) {
			p := asked(t, w)
			p.stream.(*net.TCPConn).SetLinger(0)
			p.Close()
		}},
		{name: "the server closes", serve: plain, run: said("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")},
		{name: "malformed", serve: plain, run: said("?\r\n\r\n")},
		{name: "idle", serve: func(w *world) error {
			return w.e.Serve(w.ln, &testBackend{window: 64}, 0, Limits{IdleTimeout: time.Millisecond})
		}, run: said("")},
		{name: "HTTP/2 without TLS", serve: plain, run: func(t *testing.T, w *world) {
			p := dialH2(t, w.ln.Addr())
			p.get(1, "/hello")
			p.wants(1, "200", "*")
			w.limit.becomes(t, 1)
			p.Close()
		}},
		{name: "flood", serve: plain, run: func(t *testing.T, w *world) {
			p := dialH2(t, w.ln.Addr())
			p.flood(func(int) error { return p.WriteSettings() }, 20_000)
		}},
		{name: "the listener closes", serve: plain, run: func(t *testing.T, w *world) {
			p := asked(t, w)
			w.ln.Close()
			p.hearsEnd()
			p.Close()
		}},
		{name: "shutdown", serve: plain, run: func(t *testing.T, w *world) {
			p := asks(t, w)
			p.hears(200)
			p.say("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
			over, cancel := context.WithCancel(context.Background())
			cancel()
			w.e.Shutdown(over)
		}},
		{name: "hijacked", serve: func(w *world) error {
			return w.e.Serve(w.ln, hijacks(func(c net.Conn) { kept <- c }), 0, Limits{})
		}, run: leaves(asks)},
		{name: "hijacked with TLS", serve: secure(func(w *world) error {
			return w.e.Serve(w.ln, hijacks(func(c net.Conn) { kept <- c }), 0, Limits{})
		}), run: leaves(asksTLS)},
		{name: "hijacked and lost", serve: func(w *world) error {
			return w.e.Serve(w.ln, hijacks(func(net.Conn) {}), 0, Limits{})
		}, run: func(t *testing.T, w *world) {
			p := asks(t, w)
			eventually(t, "it is found", func() bool { runtime.GC(); return w.limit.of("127.0.0.1") == 0 })
			p.Close()
		}},
		{name: "detached", serve: protocol(detaches), run: leaves(asks)},
		{name: "detached with TLS", serve: secure(protocol(detaches)), run: leaves(asksTLS)},
		{name: "protocol", serve: protocol(echo(t, nil)), run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			p.say("hello")
			w.limit.becomes(t, 1)
			p.CloseWrite()
			p.r.Discard(len("hello"))
			p.hearsEnd()
			p.Close()
		}},
		{name: "protocol refuses", serve: protocol(opener(func(backend.Conn) backend.Stream { return nil })), run: func(t *testing.T, w *world) {
			isReset(t, w.ln.Addr(), "")
		}},
		{name: "spliced", serve: protocol(opener(func(c backend.Conn) backend.Stream {
			c.Splice(c)
			return &calls{t: t}
		})), run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			io.WriteString(p, "hello")
			if _, err := io.ReadFull(p, make([]byte, 5)); err != nil {
				t.Error(err)
			}
			w.limit.becomes(t, 1)
			p.Close()
		}},
		{name: "upgraded", serve: func(w *world) error {
			const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
			return w.e.Serve(w.ln, &tlsUpgrading{testBackend: testBackend{window: 64}, upgrade: func(x backend.Upgrader) error {
				return x.Upgrade([]byte(head), echo(t, nil), backend.Bounds{})
			}}, 0, Limits{})
		}, run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			p.say("GET /wait HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
			p.r.Peek(1)
			w.limit.becomes(t, 1)
			p.Close()
		}},
		{name: "TLS", serve: secure(plain), run: func(t *testing.T, w *world) {
			p := askedTLS(t, w)
			w.limit.becomes(t, 1)
			p.Close()
		}},
		{name: "HTTP/2 with TLS", serve: secure(plain), run: func(t *testing.T, w *world) {
			config := clientConfig()
			config.NextProtos = []string{"h2"}
			p := greetH2(t, dialTLS(t, w.ln.Addr(), config))
			p.get(1, "/hello")
			p.wants(1, "200", "*")
			w.limit.becomes(t, 1)
			p.WriteGoAway(0, http2.ErrCodeNo, nil)
			p.Close()
		}},
		{name: "handshake: the client sends nothing", serve: secure(plain), run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			w.limit.becomes(t, 1)
			p.Close()
		}},
		{name: "handshake: HTTP", serve: secure(plain), run: said(get("/hello"))},
		{name: "handshake: not TLS", serve: secure(plain), run: said("\x00\x00\x00")},
		{name: "handshake: refused by the client", serve: secure(plain), run: func(t *testing.T, w *world) {
			if _, err := tls.Dial("tcp", w.ln.Addr(), &tls.Config{ServerName: "localhost"}); err == nil {
				t.Error("trusted")
			}
		}},
		{name: "handshake: not in time", serve: func(w *world) error {
			w.ln.SetTLS(&TLS{Config: serverConfig(), HandshakeTimeout: time.Millisecond})
			return plain(w)
		}, run: said("")},
		{name: "handed over", serve: sockets, run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			ended := waitFor(t, taker.ended, "connection")
			w.limit.becomes(t, 1)
			p.Close()
			ended()
			ended() // once is enough
		}},
		{name: "handed over with TLS", serve: secure(func(w *world) error {
			return w.e.ServeSockets(w.ln, secured, 0)
		}), run: func(t *testing.T, w *world) {
			p := dialTLS(t, w.ln.Addr(), clientConfig())
			c := waitFor(t, secured.taken, "connection")
			waitFor(t, secured.remotes, "address")
			w.limit.becomes(t, 1)
			c.Close()
			p.hearsEnd()
			p.Close()
		}},
		{name: "handed over to a backend that does not count", serve: func(w *world) error {
			return w.e.ServeSockets(w.ln, &rawBackend{}, 0)
		}, run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			p.r.Peek(1)
			w.limit.becomes(t, 0)
		}},
		{name: "refused by its backend", serve: func(w *world) error {
			return w.e.ServeSockets(w.ln, &countedTaker{socketTaker: socketTaker{err: errors.New("no")}}, 0)
		}, run: func(t *testing.T, w *world) { isReset(t, w.ln.Addr(), "") }},
		{name: "preface", serve: prefaced, from: "192.0.2.1", run: func(t *testing.T, w *world) {
			p := dial(t, w.ln.Addr())
			p.say(fromV1 + get("/hello"))
			p.hears(200)
			if n := w.limit.of("192.0.2.1"); n != 1 {
				t.Errorf("%d connections", n)
			}
			isReset(t, w.ln.Addr(), fromV1)
			p.Close()
		}},
		{name: "adopted", serve: plain, run: func(t *testing.T, w *world) {
			inner, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln, err := w.e.Adopt(tls.NewListener(inner, serverConfig()))
			if err != nil {
				t.Fatal(err)
			}
			ln.SetOpenLimit(w.limit)
			if err := serveHTTP(w.e, ln); err != nil {
				t.Fatal(err)
			}
			p := dialTLS(t, ln.Addr(), clientConfig())
			p.say(get("/hello"))
			p.hears(200)
			w.limit.becomes(t, 1)
			p.Close()
		}},
	} {
		for _, batch := range []bool{false, true} { // with a thread of its own, a loop computes handshakes itself
			t.Run(fmt.Sprintf("%s, batch: %v", c.name, batch), func(t *testing.T) {
				e := startEngine(t, Options{Loops: 2, Batch: batch})
				ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				w := &world{e, ln, newOpenCount(1)}
				ln.SetOpenLimit(w.limit)
				if err := c.serve(w); err != nil {
					t.Fatal(err)
				}
				c.run(t, w)
				from := c.from
				if from == "" {
					from = "127.0.0.1"
				}
				eventually(t, "the place was taken, and is free", func() bool { return w.limit.taken() > 0 && w.limit.of(from) == 0 })
				w.limit.mu.Lock()
				defer w.limit.mu.Unlock()
				if w.limit.opened != 1 || len(w.limit.open) != 0 {
					t.Errorf("%d were opened; left: %v", w.limit.opened, w.limit.open)
				}
			})
		}
	}
}

// A connection above Options.MaxConns takes no place, with and without TLS, on every kind of listener.
func TestOpenLimitTurnedAway(t *testing.T) {
	for _, c := range []struct {
		name  string
		tls   bool
		serve func(e *Engine, ln *Listener) error
	}{
		{"HTTP", false, serveHTTP},
		{"TLS", true, serveHTTP},
		{"protocol", false, func(e *Engine, ln *Listener) error { return e.ServeProtocol(ln, echo(t, nil), ProtocolOptions{}) }},
		{"sockets", false, func(e *Engine, ln *Listener) error { return e.ServeSockets(ln, &rawBackend{}, 0) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 1, MaxConns: 1})
			first, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := serveHTTP(e, first); err != nil {
				t.Fatal(err)
			}
			p := dial(t, first.Addr())
			p.say(get("/hello"))
			p.hears(200)
			ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			limit := newOpenCount(1)
			ln.SetOpenLimit(limit)
			if c.tls {
				ln.SetTLS(&TLS{Config: serverConfig()})
			}
			if err := c.serve(e, ln); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if q, err := net.Dial("tcp", ln.Addr()); err == nil { // otherwise it was reset already
					io.Copy(io.Discard, q)
					q.Close()
				}
			}
			eventually(t, "all were counted", func() bool { return limit.taken() == 3 && limit.of("127.0.0.1") == 0 })
		})
	}
}
