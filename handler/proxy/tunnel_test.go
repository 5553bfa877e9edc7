package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/upstream"
)

const upgrading = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n"
const switching = "HTTP/1.1 101 Switching Protocols\r\nDate: x\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nSec-WebSocket-Accept: a\r\n\r\n"
const switched = "HTTP/1.1 101 Switching Protocols\r\nDate: x\r\nSec-WebSocket-Accept: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

// Row: Upgrade. Both heads are checked, hop-by-hop fields end here, and early bytes of both sides travel.
func TestTunnel(t *testing.T) {
	heads := make(chan string, 1)
	a := newTarget(t, func(p *peer) {
		heads <- p.request()
		p.send(switching + "from the target")
		p.send(p.take(len("from the client")))
		p.send(p.take(len("more")))
		p.wait()
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial(upgrading + "from the client")
	want := switched + "from the target" + "from the client"
	if got := c.take(len(want)); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	c.send("more")
	if got := c.take(4); got != "more" {
		t.Errorf("%q", got)
	}
	if h := <-heads; !strings.HasSuffix(h, "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n") || !strings.Contains(h, "\r\nSec-WebSocket-Key: k\r\n") {
		t.Errorf("the target got %q", h)
	}
	if n := r.set.Servers()[0].Active(); n != 1 {
		t.Errorf("%d requests are counted while the tunnel is open", n)
	}
	c.Close()
	until(t, "the tunnel has ended", func() bool { return a.open() == 0 && r.set.Servers()[0].Active() == 0 })
}

// Row: half-close passes through, and the other direction goes on.
func TestTunnelHalfClose(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		got, err := p.all()
		if err != nil {
			got = err.Error()
		}
		p.send("all of it: " + got)
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial(upgrading)
	c.take(len(switched))
	c.send("hello")
	c.closeWrite()
	if got, err := c.all(); got != "all of it: hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}

	b := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching + "bye")
		p.closeWrite()
		got, err := p.all()
		heard <- answer{got, err}
	})
	c = newRig(t, rigOptions{}, b).dial(upgrading)
	c.take(len(switched))
	if got, err := c.all(); got != "bye" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.send("and more")
	c.closeWrite()
	if got := <-heard; got.text != "and more" || got.err != nil {
		t.Errorf("%q, %v", got.text, got.err)
	}
}

var heard = make(chan answer, 1)

// A reset of one side is one for the other.
func TestTunnelReset(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		p.take(1)
		p.reset()
	})
	c := newRig(t, rigOptions{}, a).dial(upgrading)
	c.take(len(switched))
	c.send("x")
	if _, err := c.all(); err == nil {
		t.Error("a proper end after the target was reset")
	}

	b := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		got, err := p.all()
		heard <- answer{got, err}
	})
	c = newRig(t, rigOptions{}, b).dial(upgrading)
	c.take(len(switched))
	c.reset()
	if got := <-heard; got.err == nil {
		t.Errorf("%q and a proper end after the client was reset", got.text)
	}
}

// Row: no idle time but Stream.
func TestTunnelStream(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		p.wait()
	})
	c := newRig(t, rigOptions{Config: Config{Stream: 20 * time.Millisecond}}, a).dial(upgrading)
	c.take(len(switched))
	_, err := c.all()
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Error("the tunnel does not end")
	}
	until(t, "the connection to the target is closed", func() bool { return a.open() == 0 })
}

// Responses to a request that asks for another protocol.
func TestUpgradeAnswers(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\n"
	for _, tt := range []struct {
		name, request, response string
		status                  int
	}{
		{"refused", upgrading, ok("no"), 200},
		{"not asked for", get, switching, 502},
		{"another protocol", upgrading, head + "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 502},
		{"two protocols", upgrading, head + "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", 502},
		{"two lines", upgrading, head + "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", 502},
		{"no Connection", upgrading, head + "Upgrade: websocket\r\n\r\n", 502},
		{"no Upgrade", upgrading, head + "Connection: upgrade\r\n\r\n", 502},
		{"the request has a body to come", "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 100000\r\n\r\n", switching, 502},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				p.request()
				p.send(tt.response)
				p.wait()
			})
			if got := newRig(t, rigOptions{}, a).dial(tt.request).reply("GET"); got.status != tt.status {
				t.Errorf("status %d, error %v, want %d", got.status, got.err, tt.status)
			}
		})
	}
}

// Only protocols that the Config names are asked for.
func TestUpgradeAllowed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		allowed []string
		fields  string
		passed  bool
	}{
		{"websocket", nil, "Connection: upgrade\r\nUpgrade: websocket\r\n", true},
		{"h2c", nil, "Connection: upgrade\r\nUpgrade: h2c\r\n", false},
		{"a list", nil, "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", false},
		{"two lines", nil, "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", false},
		{"none allowed", []string{}, "Connection: upgrade\r\nUpgrade: websocket\r\n", false},
		{"named", []string{"tls", "h2c"}, "Connection: upgrade\r\nUpgrade: h2c\r\n", true},
		{"no Connection", nil, "Upgrade: websocket\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := sent(t, Config{Upgrade: tt.allowed}, "GET / HTTP/1.1\r\nHost: x\r\n"+tt.fields+"\r\n")
			if passed := strings.Contains(got, "Upgrade:"); passed != tt.passed {
				t.Errorf("the target got %q", got)
			}
		})
	}
}

// A tunnel with much to carry, whose ends are slow in turns.
func TestTunnelCarries(t *testing.T) {
	const size = 8 << 20
	block := strings.Repeat("0123456789abcdef", 4096)
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		for n := 0; n < size; n += len(block) {
			if p.take(len(block)) != block {
				return
			}
		}
		for n := 0; n < size; n += len(block) {
			p.send(block)
		}
	})
	c := newRig(t, rigOptions{}, a).dial(upgrading)
	c.take(len(switched))
	for n := 0; n < size; n += len(block) {
		c.send(block)
	}
	got, err := c.all()
	if len(got) != size || err != nil || got != strings.Repeat(block, size/len(block)) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

// CloseDelay: tunnels end when the engine drains. Without it they go on.
func TestTunnelDrain(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		for {
			text := p.take(1)
			if len(text) > 1 {
				return
			}
			p.send(text)
		}
	})
	for _, tt := range []struct {
		delay time.Duration
		ends  bool
	}{{0, false}, {-1, true}, {20 * time.Millisecond, true}} {
		r := newRig(t, rigOptions{Config: Config{CloseDelay: tt.delay}}, a)
		c := r.dial(upgrading)
		c.take(len(switched))
		drained := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			drained <- r.e.Drain(ctx)
		}()
		if !tt.ends {
			until(t, "no further connection is accepted", func() bool {
				other, err := net.Dial("tcp", r.address)
				if err == nil {
					other.Close()
				}
				return err != nil
			})
			c.send("x")
			if got := c.take(1); got != "x" {
				t.Errorf("%q through a tunnel while the engine drains", got)
			}
			c.Close()
		} else if got, err := c.all(); got != "" || err != nil {
			t.Errorf("%v: %q, %v", tt.delay, got, err)
		}
		c.Close()
		if err := <-drained; err != nil {
			t.Errorf("%v: drain: %v", tt.delay, err)
		}
	}
}

// The timer of CloseDelay does not outlive its tunnel.
func TestTunnelStopsItsTimer(t *testing.T) {
	r := newFakeRig(t, Config{CloseDelay: time.Hour})
	v, err := r.set.Picker(0, 1).Pick(r.l.Now(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	u := &tunnel{l: r.loop, server: v, link: new(link)}
	u.Drain(nil)
	u.closed(nil)
	if len(r.l.timers) != 1 || !r.l.timers[0].stopped {
		t.Error("the timer goes on")
	}
}

// The end of a tunnel is no success of its target, which may have failed meanwhile.
func TestTunnelEndIsNoSuccess(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(switching)
		p.wait()
	})
	r := newRig(t, rigOptions{Options: upstream.Options{Passive: upstream.Passive{Fails: 1, Out: time.Nanosecond, OutMax: time.Nanosecond}}}, a)
	c := r.dial(upgrading)
	c.take(len(switched))
	clock := r.e.Loop(0).Clock
	v, err := r.set.Picker(0, 1).Pick(clock(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.End(clock(), upstream.Failed)
	c.Close()
	until(t, "the tunnel has ended", func() bool { return v.Active() == 0 })
	if s := r.set.Status()[0]; s.Why != "on trial" || s.Requests != 2 {
		t.Errorf("%+v", s)
	}
}

// What has come of one side of a tunnel before it is reset is passed on, and looks complete if the end had come too.
func TestTunnelResetAfterTheEnd(t *testing.T) {
	for _, ended := range []bool{true, false} {
		for _, from := range []string{"target", "client"} {
			r := newFakeRig(t, Config{})
			v, err := r.set.Picker(0, 1).Pick(r.l.Now(), 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			target, client := &fakeConn{l: r.l}, &fakeConn{l: r.l}
			u := &tunnel{l: r.loop, server: v, link: &link{conn: target}, client: client}
			gone, other := target, client
			end := u.closed
			if from == "client" {
				gone, other = client, target
				end = func(err error) { u.Closed(client, err) }
			}
			gone.in, gone.ended = []byte("the rest"), ended
			end(errSome)
			if got := other.out.String(); other.reset == ended || ended && got != "the rest" || from == "target" && !other.closed {
				t.Errorf("the %s, ended %v: the other one got %q, closed %v, reset %v", from, ended, got, other.closed, other.reset)
			}
		}
	}
}
