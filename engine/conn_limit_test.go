package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/handler/proxyproto"
)

// countingLimit admits a number of connections of each client.
type countingLimit struct {
	most int

	mu     sync.Mutex
	of     map[netip.Addr]int
	abused map[netip.Addr]int
	nowMin int64
}

func newCountingLimit(most int) *countingLimit {
	return &countingLimit{most: most, of: make(map[netip.Addr]int), abused: make(map[netip.Addr]int), nowMin: 1 << 62}
}

func (c *countingLimit) Admit(client netip.Addr, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[client]++
	c.nowMin = min(c.nowMin, now)
	return c.of[client] <= c.most
}

func (c *countingLimit) Abused(client netip.Addr, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abused[client]++
}

func (c *countingLimit) seen(client string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[netip.MustParseAddr(client)]
}

// limitedTo serves what serve says on an address whose connections are limited.
func limitedTo(t *testing.T, limit ConnLimit, serve func(e *Engine, ln *Listener) error) (*Engine, *Listener) {
	t.Helper()
	e := startEngine(t, Options{Loops: 2})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetConnLimit(limit)
	if err := serve(e, ln); err != nil {
		t.Fatal(err)
	}
	return e, ln
}

// isReset checks that the server resets a new connection, and sends nothing. text is sent first.
func isReset(t *testing.T, address, text string) {
	t.Helper()
	isResetFrom(t, "127.0.0.1", address, text)
}

// isResetFrom is isReset for a connection from an address.
func isResetFrom(t *testing.T, from, address, text string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", address)
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitMost))
		if _, err = io.WriteString(c, text); err == nil {
			var n int64
			if n, err = io.Copy(io.Discard, c); n != 0 {
				t.Errorf("%d bytes", n)
			}
		}
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v; want a reset", err)
	}
}

func serveHTTP(e *Engine, ln *Listener) error {
	return e.Serve(ln, &testBackend{window: 64}, 0, Limits{})
}

// Connections beyond the limit are reset, and are no connections of the engine. Serve sets another limit for those that follow.
func TestConnLimit(t *testing.T) {
	limit := newCountingLimit(2)
	e, ln := limitedTo(t, limit, serveHTTP)
	var served []*peer
	for range 2 {
		p := dial(t, ln.Addr())
		p.say(get("/hello"))
		p.hears(200)
		served = append(served, p)
	}
	for range 3 {
		isReset(t, ln.Addr(), "")
	}
	if n := e.Conns(); n != 2 {
		t.Errorf("%d connections", n)
	}
	accepted, limited := uint64(0), uint64(0)
	for _, s := range e.Stats() {
		accepted, limited = accepted+s.Accepted, limited+s.Limited
	}
	counted := e.Refusals()[logging.Event{Level: slog.LevelWarn, Message: connectionsRefused, Cause: causeConnLimit}]
	if accepted != 2 || limited != 3 || counted != 3 {
		t.Errorf("%d accepted, %d refused, %d counted", accepted, limited, counted)
	}
	if limit.nowMin <= 0 {
		t.Error("no time")
	}
	for _, p := range served {
		p.say(get("/hello"))
		p.hears(200)
	}
	ln.SetConnLimit(nil)
	if err := serveHTTP(e, ln); err != nil {
		t.Fatal(err)
	}
	p := dial(t, ln.Addr())
	p.say(get("/hello"))
	p.hears(200)
}

// No handshake is begun for a connection beyond the limit, and no handler gets a raw one.
func TestConnLimitEverywhere(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(e *Engine, ln *Listener) error
	}{
		{"TLS", func(e *Engine, ln *Listener) error {
			ln.SetTLS(&TLS{Config: serverConfig()})
			return serveHTTP(e, ln)
		}},
		{"raw", func(e *Engine, ln *Listener) error { return e.ServeSockets(ln, &rawBackend{}, 0) }},
		{"protocol", func(e *Engine, ln *Listener) error { return e.ServeProtocol(ln, echo(t, nil), ProtocolOptions{}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ln := limitedTo(t, newCountingLimit(0), c.serve)
			isReset(t, ln.Addr(), "")
		})
	}
}

// Behind a proxy, the client of the preface counts. A connection that the proxy makes for itself is not limited.
func TestConnLimitPreface(t *testing.T) {
	limit := newCountingLimit(1)
	e, ln := limitedTo(t, limit, func(e *Engine, ln *Listener) error {
		ln.SetPreface(proxyproto.New(waitMost))
		return serveHTTP(e, ln)
	})
	first := dial(t, ln.Addr())
	first.say(fromV1 + get("/hello"))
	first.hears(200)
	isReset(t, ln.Addr(), fromV1)
	for range 3 {
		p := dial(t, ln.Addr())
		p.say("PROXY UNKNOWN\r\n" + get("/hello"))
		p.hears(200)
	}
	if limit.seen("192.0.2.1") != 2 || limit.seen("127.0.0.1") != 0 {
		t.Errorf("%v", limit.of)
	}
	eventually(t, "the refused one is not counted", func() bool { return e.Conns() == 4 })
}

// Connections that other listeners accept are limited too, those that are no sockets included.
func TestConnLimitAdopted(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Adopt(tls.NewListener(inner, serverConfig()))
	if err != nil {
		t.Fatal(err)
	}
	limit := newCountingLimit(1)
	ln.SetConnLimit(limit)
	if err := serveHTTP(e, ln); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		c, err := net.Dial("tcp", ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		secure.SetDeadline(time.Now().Add(waitMost))
		io.WriteString(secure, get("/hello"))
		_, err = secure.Read(make([]byte, 1))
		if (err == nil) != (i == 0) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	eventually(t, "both are counted", func() bool { return limit.seen("127.0.0.1") == 2 })
}

// A peer that is cut off because of what it does on a connection with HTTP/2 is reported. One that goes in peace is not.
func TestConnLimitAbused(t *testing.T) {
	limit := newCountingLimit(100)
	_, ln := limitedTo(t, limit, func(e *Engine, ln *Listener) error {
		return e.Serve(ln, &testBackend{window: 64}, 0, Limits{H2C: true})
	})
	peaceful := dialH2(t, ln.Addr())
	peaceful.get(1, "/hello")
	peaceful.wants(1, "200", "*")
	peaceful.Close()
	p := dialH2(t, ln.Addr())
	p.flood(func(int) error { return p.WriteSettings() }, 20_000)
	eventually(t, "it is reported", func() bool {
		limit.mu.Lock()
		defer limit.mu.Unlock()
		return limit.abused[netip.MustParseAddr("127.0.0.1")] == 1
	})
}
