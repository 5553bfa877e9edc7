package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/upstream"

	"golang.org/x/sys/unix"
)

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// Row: bytes, an end or an error on an unused connection. It is closed at once, before a request can get it.
func TestUnusedConnectionIsClosed(t *testing.T) {
	for name, spoil := range map[string]func(*peer){
		"bytes":    func(p *peer) { p.send("x") },
		"response": func(p *peer) { p.send(ok("of another")) },
		"end":      func(p *peer) { p.closeWrite() },
		"reset":    func(p *peer) { p.reset() },
	} {
		t.Run(name, func(t *testing.T) {
			go1 := make(chan struct{})
			a := newTarget(t, func(p *peer) {
				if p.n > 1 {
					answering(ok("second"))(p)
					return
				}
				p.request()
				p.send(ok("first"))
				<-go1
				spoil(p)
				p.wait()
			})
			r := newRig(t, rigOptions{}, a)
			r.get().want(t, 200, "first")
			close(go1)
			until(t, "the connection is closed", func() bool { return a.open() == 0 })
			r.ask("POST", "/", "\nhello").want(t, 200, "second") // a POST would not be sent again
		})
	}
}

// A byte that comes with the response spoils the connection too.
func TestBytesAfterTheResponse(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(ok(fmt.Sprint(p.n)) + "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nshifted")
		p.wait()
	})
	r := newRig(t, rigOptions{}, a)
	r.get().want(t, 200, "1")
	r.get().want(t, 200, "2")
}

// Row: the newest connection is taken first.
func TestNewestFirst(t *testing.T) {
	gates := [3]chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	a := newTarget(t, func(p *peer) {
		for i := 0; p.request() != ""; i++ {
			if i == 0 {
				<-gates[p.n-1]
			}
			p.send(ok(fmt.Sprint(p.n)))
		}
	})
	r := newRig(t, rigOptions{}, a)
	var clients []*peer
	for i := range gates {
		clients = append(clients, r.dial(get))
		until(t, "the connection is there", func() bool { return a.accepted() == i+1 })
	}
	for _, i := range []int{1, 2, 0} {
		close(gates[i])
		clients[i].reply("GET").want(t, 200, fmt.Sprint(i+1))
	}
	for range 5 {
		r.get().want(t, 200, "1") // the one that was given back last
	}
}

// Connections of a target are counted by loop, used or not, until they are closed.
func TestConnectionsAreCounted(t *testing.T) {
	gate := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		for p.request() != "" {
			<-gate
			p.send(ok("x"))
		}
	})
	r := newRig(t, rigOptions{loops: 2}, a)
	if n := r.set.Status()[0].Conns; len(n) != 0 {
		t.Errorf("%v before there are any", n)
	}
	count := func() (n int) {
		for _, of := range r.set.Status()[0].Conns {
			n += of
		}
		return n
	}
	var clients []*peer
	for range 6 {
		clients = append(clients, r.dial(get))
	}
	until(t, "all are connected", func() bool { return count() == 6 })
	if list := r.set.Status()[0].Conns; len(list) > 2 {
		t.Errorf("%v for two loops", list)
	}
	close(gate)
	for _, c := range clients {
		c.reply("GET").want(t, 200, "x")
	}
	if n := count(); n != 6 {
		t.Errorf("%d when they are unused", n)
	}
	a.stop()
	until(t, "none is counted", func() bool { return count() == 0 })
}

func TestUnusedConnectionsEnd(t *testing.T) {
	a := newTarget(t, answering(ok("x")))
	r := newRig(t, rigOptions{Options: upstream.Options{Idle: 20 * time.Millisecond}}, a)
	r.get().want(t, 200, "x")
	until(t, "the connection is closed", func() bool { return a.open() == 0 })

	r = newRig(t, rigOptions{Options: upstream.Options{Idle: -1}}, a)
	r.get().want(t, 200, "x")
	until(t, "the connection is closed", func() bool { return a.open() == 0 })
}

// A target that says how long it keeps connections is believed.
func TestKeepAliveTimeout(t *testing.T) {
	a := newTarget(t, answering("HTTP/1.1 200 OK\r\nKeep-Alive: max=100, timeout=1\r\nContent-Length: 1\r\n\r\nx"))
	r := newRig(t, rigOptions{Options: upstream.Options{Idle: time.Hour}}, a)
	r.get().want(t, 200, "x")
	until(t, "the connection is closed", func() bool { return a.open() == 0 })
	for value, want := range map[string]time.Duration{
		"timeout=5": 4 * time.Second, "timeout=1": time.Second / 2, "timeout=0": time.Second / 2, "max=3": 0, "": 0, "timeout=x": 0,
		"max=1, Timeout=60": 59 * time.Second, "timeout=99999999999999": 0,
	} {
		if got := keepAliveTime([]byte(value)); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestUnusedConnectionsAreBounded(t *testing.T) {
	gate := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		<-gate
		p.send(ok("x"))
		p.wait()
	})
	r := newRig(t, rigOptions{Options: upstream.Options{IdleMax: 2, Idle: time.Hour}}, a)
	var clients []*peer
	for i := range 5 {
		clients = append(clients, r.dial(get))
		until(t, "the connection is there", func() bool { return a.accepted() == i+1 })
	}
	close(gate)
	for _, c := range clients {
		c.reply("GET").want(t, 200, "x")
	}
	until(t, "connections are closed", func() bool { return a.open() == 2 })
}

// A target that says Connection: close, or speaks HTTP/1.0, gets a new connection for each request.
func TestConnectionsNotKept(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
	} {
		a := newTarget(t, answering(response))
		r := newRig(t, rigOptions{}, a)
		c := r.dial(get)
		c.reply("GET").want(t, 200, "x")
		c.send(get)
		c.reply("GET").want(t, 200, "x") // the client's connection is kept
		if a.accepted() != 2 {
			t.Errorf("%q: %d connections", response, a.accepted())
		}
	}
}

// ProxyOut: each request has a connection, which begins with a header that names its client.
func TestProxyOut(t *testing.T) {
	for version := 1; version <= 2; version++ {
		a := newTarget(t, func(p *peer) {
			head, n := []byte(nil), 0
			for n == 0 {
				b, err := p.r.ReadByte()
				if err != nil {
					return
				}
				head = append(head, b)
				if n, err = proxyproto.Length(head); err != nil {
					t.Error(err)
					return
				}
			}
			head = append(head, p.take(n-len(head))...)
			_, local, remote, err := proxyproto.Parse(head)
			if err != nil {
				t.Error(err)
			}
			for p.request() != "" {
				p.send(ok(fmt.Sprint(remote, local)))
			}
		})
		r := newRig(t, rigOptions{Config: Config{ProxyOut: version}}, a)
		for range 2 {
			c := r.dial(get)
			for range 2 {
				c.reply("GET").want(t, 200, fmt.Sprint(c.LocalAddr(), c.RemoteAddr()))
				c.send(get)
			}
			c.reply("GET")
			c.Close()
		}
		if n := a.accepted(); n != 6 {
			t.Errorf("version %d: %d connections for 6 requests", version, n)
		}
	}
}

// Connections to a target that is none any more are closed.
func TestReplacedTarget(t *testing.T) {
	gate := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		<-gate
		p.send(ok("old"))
		p.wait()
	})
	b := newTarget(t, answering(ok("new")))
	r := newRig(t, rigOptions{Options: upstream.Options{Idle: time.Hour}}, a)
	c := r.dial(get)
	until(t, "the request is there", func() bool { return a.accepted() == 1 })
	if err := r.set.Replace(upstream.Target{Addr: b.addr()}); err != nil {
		t.Fatal(err)
	}
	r.get().want(t, 200, "new")
	close(gate)
	c.reply("GET").want(t, 200, "old")
	until(t, "the connection is closed", func() bool { return a.open() == 0 })
}

// Row: HEAD, 204, 304 and 205. No body is read, whatever the fields say, and a byte after the head closes the connection.
func TestNoBody(t *testing.T) {
	for _, tt := range []struct {
		method, response, want string
		kept                   bool
	}{
		{"HEAD", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n", true},
		{"HEAD", "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n", true},
		{"HEAD", "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n", true},
		{"HEAD", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n", false},
		{"GET", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", true},
		{"GET", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\nhello", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", false},
		{"GET", "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n", true},
		{"GET", "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n", false},
		{"GET", "HTTP/1.1 205 Reset\r\nDate: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 205 Reset\r\nDate: x\r\nContent-Length: 0\r\n\r\n", true},
		{"GET", "HTTP/1.1 205 Reset\r\nDate: x\r\n\r\n", "HTTP/1.1 205 Reset\r\nDate: x\r\nContent-Length: 0\r\n\r\n", false},
		{"GET", "HTTP/1.1 205 Reset\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 205 Reset\r\nDate: x\r\nContent-Length: 0\r\n\r\n", false},
	} {
		t.Run(fmt.Sprintf("%s %.30q", tt.method, tt.response), func(t *testing.T) {
			a := newTarget(t, answering(tt.response))
			r := newRig(t, rigOptions{}, a)
			request := tt.method + " / HTTP/1.1\r\nHost: x\r\n\r\n"
			c := r.dial("")
			for range 2 { // the second response would show a byte that is left
				c.send(request)
				if got := c.take(len(tt.want)); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			}
			if kept := a.accepted() == 1; kept != tt.kept {
				t.Errorf("connection kept: %v", kept)
			}
		})
	}
}

// What is kept for a server that is no target any more is forgotten, though it had no connection when it went.
func TestPoolsAreForgotten(t *testing.T) {
	r := newFakeRig(t, Config{})
	for i := range 3 {
		if err := r.set.Replace(upstream.Target{Addr: []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}[i]}); err != nil {
			t.Fatal(err)
		}
		_, c := r.start(get, math.MaxInt, "", false)
		c.gives("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", false)
		if n := len(r.loop.services[r.set].pools); n != 1 {
			t.Errorf("%d pools for one target", n)
		}
	}
}

// A request whose body was on its way when the engine began to drain is passed on, although that needs a new connection.
func TestConnectsWhileDraining(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(ok(p.take(5)))
	})
	r := newRig(t, rigOptions{}, a)
	c, idle := r.dial("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"), r.dial("")
	until(t, "both are accepted", func() bool { return r.e.Conns() == 2 })
	for range 2 { // a whole turn: the head is read
		turned := make(chan struct{})
		r.e.Loop(0).Post(func() { close(turned) })
		<-turned
	}
	drained := make(chan error, 1)
	go func() { drained <- r.e.Drain(t.Context()) }()
	idle.wait() // until the engine drains
	idle.Close()
	c.send("llo")
	if got, _ := c.all(); !strings.HasSuffix(got, "hello") {
		t.Errorf("%q", got)
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A connection on which something has happened that the loop has not handled yet is closed, and the next one is taken.
func TestUnquietConnection(t *testing.T) {
	r := newFakeRig(t, Config{})
	x, c := r.start(get, math.MaxInt, "", false)
	y, d := r.start(get, math.MaxInt, "", false)
	c.gives(ok("x"), false)
	d.gives(ok("x"), false) // the newest
	d.unquiet = true
	c.out.Reset()
	if z, _ := r.start(get, math.MaxInt, "", false); !x.over || !y.over || z.over || c.out.Len() == 0 || !d.closed || len(r.l.dialed) != 2 {
		t.Errorf("sent %q, closed %v, %d connections", c.out.String(), d.closed, len(r.l.dialed))
	}
	c.gives(ok("x"), false)
	r.checkOver()
}

// A process without room for another connection gives up one that no request uses, the oldest first, to whatever target it leads.
func TestUnusedGivesPlace(t *testing.T) {
	other, err := upstream.New(upstream.Options{}, upstream.Target{Addr: "10.0.0.9:80"})
	if err != nil {
		t.Fatal(err)
	}
	var r *fakeRig
	r = newFakeRig(t, Config{To: func(q *Request) *upstream.Set {
		if string(q.Head().Bytes(q.Head().Path)) == "other" {
			return other
		}
		return r.set
	}})
	x, a := r.start(get, math.MaxInt, "", false)
	y, b := r.start(get, math.MaxInt, "", false)
	a.gives(ok("x"), false)
	b.gives(ok("y"), false)
	if !x.over || !y.over || a == b || a.closed || b.closed {
		t.Fatal("there are no two unused connections")
	}
	full := errors.New("no room") // as of the engine, which says nothing about the target
	r.l.refuse = full
	z, _ := r.startLimited("GET /other HTTP/1.1\r\nHost: x\r\n\r\n", func() {
		if a.closed {
			r.l.refuse = nil
		}
	})
	if c := r.l.dialed[len(r.l.dialed)-1]; c == b || !a.closed || b.closed {
		t.Fatalf("the older one is closed: %v, the other one: %v", a.closed, b.closed)
	} else {
		c.gives(ok("z"), false)
	}
	if !z.over || z.status != 0 || !strings.HasSuffix(z.out.String(), "z") {
		t.Errorf("over %v, status %d, %q", z.over, z.status, z.out.String())
	}

	// Without any, the request fails as before.
	r.l.refuse = full
	w, _ := r.start("GET /other HTTP/1.1\r\nHost: x\r\n\r\n", math.MaxInt, "", false) // on the kept one
	v, _ := r.start("GET /other HTTP/1.1\r\nHost: x\r\n\r\n", math.MaxInt, "", false)
	if !v.over || v.status != 502 || w.over || !b.closed {
		t.Errorf("over %v, status %d; the last unused one is closed: %v", v.over, v.status, b.closed)
	}
}

// startLimited is start that calls before before each function that was posted.
func (r *fakeRig) startLimited(head string, before func()) (*fakeExchange, *fakeConn) {
	r.t.Helper()
	x := &fakeExchange{t: r.t, takes: math.MaxInt}
	r.startOn(x, head, "", false)
	for len(r.l.posted) > 0 {
		before()
		fn := r.l.posted[0]
		r.l.posted = r.l.posted[1:]
		fn()
	}
	return x, r.l.dialed[len(r.l.dialed)-1]
}

// The same with an engine that has as many connections as the limit on open files allows.
func TestUnusedGivesPlaceToEngine(t *testing.T) {
	const kept, all = 50, 128
	answer := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		<-answer
		p.send(ok("a"))
		p.wait()
	})
	b := newTarget(t, answering(ok("b")))
	other, err := upstream.New(upstream.Options{}, upstream.Target{Addr: b.addr()})
	if err != nil {
		t.Fatal(err)
	}
	sets := make(chan *upstream.Set, 1)
	to := func(q *Request) *upstream.Set {
		if string(q.Head().Bytes(q.Head().Path)) == "other" {
			return other
		}
		set := <-sets
		sets <- set
		return set
	}
	r := newSmallRig(t, all, Config{To: to}, upstream.Options{}, a)
	sets <- r.set
	var clients []*peer
	for range kept {
		clients = append(clients, r.dial(get))
	}
	until(t, "their requests are there", func() bool { return a.accepted() == kept })
	close(answer)
	for _, p := range clients {
		p.reply("GET").want(t, 200, "a")
	}
	for len(clients) < all-kept {
		clients = append(clients, r.dial(""))
	}
	until(t, "there is no room", func() bool { return r.e.Conns() == all-kept })
	clients[0].send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
	clients[0].reply("GET").want(t, 200, "b")
	until(t, "an unused one is given up", func() bool { return a.open() == kept-1 })
}

// Row: a response before the target has all of the request. Its connection is not kept: the next request would wait behind the rest, which the
// target may never read.
func TestAnsweredWithoutReading(t *testing.T) {
	for _, held := range []int{0, 3} {
		r := newFakeRig(t, Config{})
		x, c := r.start("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", math.MaxInt, "hello", false)
		c.held = held
		c.gives("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", false)
		if !x.over || x.end != backend.EndKeep || c.reset != (held > 0) {
			t.Errorf("%d bytes are left of the request: the client's exchange is over: %v, the target's connection reset: %v", held, x.over, c.reset)
		}
		r.checkOver()
	}
}

// newSmallRig is newRig with room for so many connections, of clients and to targets together. Those to targets are kept.
func newSmallRig(t *testing.T, conns int, c Config, o upstream.Options, targets ...*target) *rig {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := was
	setLimit(&low.Cur, 2*conns) // half of them are for connections
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}()
	o.Idle = time.Hour
	return newRig(t, rigOptions{Config: c, Options: o}, targets...)
}

// setLimit sets a field of a unix.Rlimit. FreeBSD has them with a sign.
func setLimit[T int64 | uint64](limit *T, n int) { *limit = T(n) }

// A client for which there is no room gets the place of a connection that no request uses.
func TestUnusedGivesPlaceToClient(t *testing.T) {
	t.Run("plain", func(t *testing.T) { givesPlaceToClient(t, newTarget, nil) })
	t.Run("TLS", func(t *testing.T) { givesPlaceToClient(t, newSecureTarget, &tls.Config{InsecureSkipVerify: true}) })
}

func givesPlaceToClient(t *testing.T, newTarget func(*testing.T, func(*peer)) *target, secure *tls.Config) {
	const kept, all = 50, 128
	answer := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		for p.request() != "" {
			<-answer
			p.send(ok("a"))
		}
	})
	r := newSmallRig(t, all, Config{}, upstream.Options{TLS: secure}, a)
	var clients []*peer
	for range kept {
		clients = append(clients, r.dial(get))
	}
	until(t, "their requests are there", func() bool { return a.accepted() == kept })
	close(answer)
	for _, p := range clients {
		p.reply("GET").want(t, 200, "a")
	}
	for len(clients) < all-kept {
		clients = append(clients, r.dial(""))
	}
	until(t, "there is no room", func() bool { return r.e.Conns() == all-kept })
	for n := range 2 {
		r.dial(get).reply("GET").want(t, 200, "a")
		until(t, "an unused one has given its place", func() bool { return a.open() == kept-1-n })
	}
	if n := a.accepted(); n != kept {
		t.Errorf("%d connections to the target, want %d", n, kept)
	}
}

// newSecureTarget is newTarget with TLS.
func newSecureTarget(t *testing.T, script func(*peer)) *target {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close() // only its certificate is needed
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: s.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	return serveTarget(t, ln, script)
}
