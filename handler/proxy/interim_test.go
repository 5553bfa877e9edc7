package proxy

import (
	"math"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
)

const hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"

// Row: 1xx. 100 is swallowed, others are passed on to a client of HTTP/1.1, up to bounds.
func TestInterimResponses(t *testing.T) {
	const passed = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	const processing = "HTTP/1.1 102 Processing\r\n\r\n"
	const final = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1\r\n\r\nx"
	for _, tt := range []struct{ name, version, response, want string }{
		{"103", "1.1", hints + final, passed + final},
		{"many", "1.1", strings.Repeat(processing, 500) + final, strings.Repeat(processing, 500) + final},
		{"102 and 103", "1.1", processing + hints + final, processing + passed + final},
		{"100", "1.1", "HTTP/1.1 100 Continue\r\n\r\n" + final, final},
		{"eight", "1.1", strings.Repeat(hints, 8) + final, strings.Repeat(passed, 8) + final},
		{"HTTP/1.0", "1.0", hints + final, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newTarget(t, answering(tt.response))
			c := newRig(t, rigOptions{}, a).dial("GET / HTTP/" + tt.version + "\r\nHost: x\r\n\r\n")
			if got := c.take(len(tt.want)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Row: a storm of interim responses ends the exchange. The client gets 502 after those that were passed on.
func TestInterimStorm(t *testing.T) {
	for name, storm := range map[string]string{
		"100s":        strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000),
		"bytes":       "HTTP/1.1 103 Early Hints\r\nA: " + strings.Repeat("x", 17_000) + "\r\n\r\n",
		"without end": strings.Repeat(hints, 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				p.request()
				p.send(storm)
				p.wait()
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dial(get)
			for {
				h := c.request()
				if strings.HasPrefix(h, "HTTP/1.1 103 ") {
					continue
				}
				if !strings.HasPrefix(h, "HTTP/1.1 502 ") {
					t.Errorf("%q", h)
				}
				break
			}
			r.failure(ErrInvalid)
			until(t, "the connection is closed", func() bool { return a.open() == 0 })
		})
	}
}

// A request whose interim response was passed on is not sent again.
func TestNoRetryAfterInterim(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send(hints)
	})
	good := newTarget(t, answering(ok("good")))
	c := newRig(t, rigOptions{}, a, good).dial(get)
	c.request()
	if got := c.reply("GET"); got.status != 502 {
		t.Errorf("status %d", got.status)
	}
}

const expecting = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

// Row: Expect. The proxy answers when it is connected, and the target does not see it.
func TestExpect(t *testing.T) {
	heads := make(chan string, 10)
	a := newTarget(t, func(p *peer) {
		for {
			h := p.request()
			if h == "" {
				return
			}
			heads <- h
			p.send(ok(p.take(5)))
		}
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("")
	for range 2 { // on a new connection, and on a kept one
		c.send(expecting)
		if got := c.request(); got != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("%q", got)
		}
		c.send("hello")
		c.reply("POST").want(t, 200, "hello")
		if h := <-heads; strings.Contains(h, "Expect") {
			t.Errorf("the target got %q", h)
		}
	}
}

func TestExpectWithoutTarget(t *testing.T) {
	r := newRigOf(t, rigOptions{})
	c := r.dial(expecting)
	if got := c.reply("POST"); got.status != 503 {
		t.Errorf("status %d: the client is not asked for a body that nobody takes", got.status)
	}
}

// Row: Expect with PassExpect. The target decides.
func TestPassExpect(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(*peer)
		asked  bool
		status int
	}{
		{"asks", func(p *peer) { p.send("HTTP/1.1 100 Continue\r\n\r\n"); p.send(ok(p.take(5))) }, true, 200},
		{"does not ask", func(p *peer) { p.send(ok(p.take(5))) }, true, 200},
		{"refuses", func(p *peer) { p.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n") }, false, 417},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				if h := p.request(); !strings.Contains(h, "\r\nExpect: 100-continue\r\n") {
					p.send(ok("no Expect in " + h))
					return
				}
				tt.script(p)
				p.wait()
			})
			c := newRig(t, rigOptions{Config: Config{PassExpect: true}}, a).dial(expecting)
			if tt.asked {
				if got := c.request(); got != "HTTP/1.1 100 Continue\r\n\r\n" {
					t.Fatalf("%q", got)
				}
				c.send("hello")
			}
			if got := c.reply("POST"); got.status != tt.status {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Row: the response comes before the request body is complete. It is passed on at once, and both connections end.
func TestEarlyResponse(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 403 No\r\nDate: x\r\nContent-Length: 2\r\n\r\nno")
		p.wait()
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
	c.reply("POST").want(t, 403, "no")
	until(t, "the connection to the target is closed", func() bool { return a.open() == 0 })
	if got, err := c.all(); got != "" || err != nil {
		t.Errorf("%q, %v after the response", got, err)
	}
}

// The target answers and closes while the request body is on its way, so that it resets the connection. The response is passed on
// nevertheless.
func TestEarlyResponseAndReset(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.take(1)
		p.send("HTTP/1.1 413 Too Much\r\nDate: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	})
	r := newRig(t, rigOptions{}, a)
	for range 20 {
		c := r.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
		go func() {
			for piece := []byte(strings.Repeat("x", 10_000)); ; {
				if _, err := c.Write(piece); err != nil {
					return
				}
			}
		}()
		c.reply("POST").want(t, 413, "no")
		c.Close()
	}
}

// The response begins before the request body is complete, and both go on.
func TestBothWays(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 10\r\n\r\n")
		for range 10 {
			p.send(p.take(1))
		}
		p.wait()
	})
	r := newRig(t, rigOptions{limits: engine.Limits{BufferBody: -1}}, a)
	c := r.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	c.request()
	for _, b := range "0123456789" {
		c.send(string(b))
		if got := c.take(1); got != string(b) {
			t.Fatalf("%q, want %q", got, string(b))
		}
	}
	c.send(get)
	until(t, "the connection is kept", func() bool { return r.set.Servers()[0].Active() == 1 })
	if a.accepted() != 1 {
		t.Errorf("%d connections", a.accepted())
	}
}

// An interim response is a sign of life: the time for the head begins again. 100 (Continue) is about the request.
func TestInterimResponsesTakeTime(t *testing.T) {
	for response, want := range map[string]time.Duration{
		"HTTP/1.1 102 Processing\r\n\r\n": 90 * time.Second,
		hints:                             90 * time.Second,
		"HTTP/1.1 100 Continue\r\n\r\n":   60 * time.Second,
	} {
		for _, head := range []string{get, "GET / HTTP/1.0\r\n\r\n"} {
			r := newFakeRig(t, Config{})
			x, c := r.start(head, math.MaxInt, "", false)
			start := r.l.Now()
			r.l.now += 30 * time.Second
			c.gives(response, false)
			k := r.loop.links.First()
			if got := time.Duration(k.deadline - start); got != want {
				t.Errorf("%q after %.14q: the head has %v, want %v", response, head, got, want)
			}
			x.running.Cancel()
		}
	}
}
