package engine

import (
	"net"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/handler/proxyproto"
)

// fillCounts is how many connections each of two loops has accepted.
func fillCounts(e *Engine) (accepted [2]uint64) {
	for i, s := range e.Stats() {
		accepted[i] = s.Accepted
	}
	return accepted
}

// The connections of HTTP and of Protocols fill the loops one after the other. Those of a backend that takes the
// sockets do not.
func TestFillLoops(t *testing.T) {
	serves := map[string]func(e *Engine, ln *Listener) error{
		"HTTP": func(e *Engine, ln *Listener) error { return e.Serve(ln, &testBackend{}, 0, Limits{}) },
		"protocol": func(e *Engine, ln *Listener) error {
			p := opener(func(c backend.Conn) backend.Stream { return &calls{t: t, data: func(c backend.Conn) { c.Close() }} })
			return e.ServeProtocol(ln, p, ProtocolOptions{})
		},
	}
	for name, serve := range serves {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 2, Fill: 3})
			ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
			if err == nil {
				err = serve(e, ln)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range [][2]uint64{{1, 0}, {2, 0}, {3, 0}, {3, 1}, {3, 2}, {3, 3}} {
				defer dialAs(t, i, ln.Addr()).Close()
				eventually(t, "it is accepted", func() bool { n := fillCounts(e); return n[0]+n[1] == uint64(i+1) })
				if got := fillCounts(e); got != want {
					t.Fatalf("%v, want %v", got, want)
				}
			}
		})
	}
	t.Run("sockets", func(t *testing.T) {
		e := startEngine(t, Options{Loops: 2, Fill: 1 << 20})
		ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
		if err == nil {
			err = e.ServeSockets(ln, &rawBackend{}, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ { // the kernel chooses
			if got := fillCounts(e); got[0] > 0 && got[1] > 0 {
				break
			}
			if n > 200 {
				t.Fatal("a loop gets no connections")
			}
			dial(t, ln.Addr()).Close()
		}
	})
}

// Connections that wait for their prefaces have their places already: a proxy may send them late, and all at once.
func TestFillLoopsBeforePreface(t *testing.T) {
	e, ln := behind(t, Options{Loops: 2, Fill: 3}, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &testBackend{window: 64})
	var peers []*peer
	for n := range 6 {
		peers = append(peers, dialAs(t, n, ln.Addr()))
		waitsForPreface(t, e, n+1)
	}
	for _, p := range peers {
		p.say(fromV1 + get("/hello"))
		p.hears(200)
	}
	for i, s := range e.Stats() {
		if s.Conns != 3 {
			t.Errorf("loop %d has %d connections", i, s.Conns)
		}
	}
}

// However a connection ends, its place is free again, and only once.
func TestFillLoopsAfterEnd(t *testing.T) {
	closes := func(t *testing.T, ln *Listener, text string) {
		p := dial(t, ln.Addr())
		p.say(text)
		p.CloseWrite()
		for {
			if _, err := p.r.ReadByte(); err != nil {
				p.Close()
				return
			}
		}
	}
	serve := func(e *Engine, ln *Listener) error { return e.Serve(ln, &testBackend{window: 64}, 0, Limits{}) }
	for name, c := range map[string]struct {
		prepare func(*Listener)
		serve   func(*Engine, *Listener) error
		live    func(t *testing.T, ln *Listener)
	}{
		"HTTP":           {live: func(t *testing.T, ln *Listener) { closes(t, ln, get("/hello")) }},
		"nothing":        {live: func(t *testing.T, ln *Listener) { closes(t, ln, "") }},
		"no preface":     {func(ln *Listener) { ln.SetPreface(proxyproto.New(waitMost)) }, nil, func(t *testing.T, ln *Listener) { closes(t, ln, "") }},
		"other preface":  {func(ln *Listener) { ln.SetPreface(proxyproto.New(waitMost)) }, nil, func(t *testing.T, ln *Listener) { closes(t, ln, get("/hello")) }},
		"preface":        {func(ln *Listener) { ln.SetPreface(proxyproto.New(waitMost)) }, nil, func(t *testing.T, ln *Listener) { closes(t, ln, fromV1+get("/hello")) }},
		"limited":        {func(ln *Listener) { ln.SetConnLimit(newCountingLimit(0)) }, nil, func(t *testing.T, ln *Listener) { isReset(t, ln.Addr(), "") }},
		"no handshake":   {func(ln *Listener) { ln.SetTLS(&TLS{Config: serverConfig()}) }, nil, func(t *testing.T, ln *Listener) { closes(t, ln, "GET / ") }},
		"half handshake": {func(ln *Listener) { ln.SetTLS(&TLS{Config: serverConfig()}) }, nil, func(t *testing.T, ln *Listener) { closes(t, ln, "\x16\x03\x01") }},
		"TLS": {func(ln *Listener) { ln.SetTLS(&TLS{Config: serverConfig()}) }, nil, func(t *testing.T, ln *Listener) {
			p := dialTLS(t, ln.Addr(), clientConfig())
			p.say(get("/hello"))
			p.hears(200)
			p.Close()
		}},
		"detached": {nil, func(e *Engine, ln *Listener) error {
			return e.ServeProtocol(ln, opener(func(c backend.Conn) backend.Stream {
				return &calls{t: t, data: func(c backend.Conn) {
					if d, err := c.Detach(); err != nil {
						t.Error(err)
					} else {
						go d.Close()
					}
				}}
			}), ProtocolOptions{})
		}, func(t *testing.T, ln *Listener) { closes(t, ln, "x") }},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 2, Fill: 1})
			open := func() *Listener {
				ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return ln
			}
			ln, after := open(), open()
			if c.prepare != nil {
				c.prepare(ln)
			}
			if c.serve == nil {
				c.serve = serve
			}
			if err := c.serve(e, ln); err != nil {
				t.Fatal(err)
			}
			if err := serve(e, after); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				c.live(t, ln)
				eventually(t, "it has ended", func() bool { return e.Conns() == 0 })
			}
			e.onEveryLoop(func(*loop) error { return nil }) // the turn in which the last one has ended is over
			before := fillCounts(e)
			var conns []net.Conn
			for i, want := range [][2]uint64{{1, 0}, {1, 1}} {
				conns = append(conns, dial(t, after.Addr()))
				var got [2]uint64
				eventually(t, "it is accepted", func() bool {
					got = fillCounts(e)
					got[0], got[1] = got[0]-before[0], got[1]-before[1]
					return got[0]+got[1] == uint64(i+1)
				})
				if got != want {
					t.Errorf("the loops get %v, want %v", got, want)
				}
			}
			for _, c := range conns {
				c.Close()
			}
		})
	}
}
