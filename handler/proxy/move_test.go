package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/upstream"
	"moonbridge/reactor"
)

// varied is n bytes of which no two parts are easily confused.
func varied(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// dialSlow connects with a socket that takes little, and sends a request. Its response is read later.
func (r *rig) dialSlow() *peer {
	c := r.dial("")
	c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	c.send(get)
	return c
}

// wants is want for a body too long to be shown.
func (a reply) wants(t *testing.T, body string) {
	t.Helper()
	if a.err != nil || a.status != 200 || a.body != body {
		i := 0
		for i < min(len(a.body), len(body)) && a.body[i] == body[i] {
			i++
		}
		t.Errorf("status %d, %d bytes, equal up to %d, error %v; want 200, %d bytes", a.status, len(a.body), i, a.err, len(body))
	}
}

// pipes is how many pipes have bytes now.
func (r *rig) pipes() (n int) {
	for _, s := range r.e.Stats() {
		n += s.Pipes
	}
	return n
}

// inPipe waits until bytes for a client are in a pipe.
func (r *rig) inPipe() {
	r.t.Helper()
	if reactor.CanSplice {
		until(r.t, "bytes are in a pipe", func() bool { return r.pipes() > 0 })
	}
}

// noPipes checks at the end of a test that no pipe has bytes.
func (r *rig) noPipes() {
	r.t.Helper()
	until(r.t, "no bytes are in a pipe", func() bool { return r.pipes() == 0 })
}

// Large bodies and small ones, with and without a body, come in turn on one connection on each side, whatever the one before has made
// the proxy expect.
func TestMovedBodies(t *testing.T) {
	sizes := []int{100 << 10, 0, 10, 5000, 20_000, 33_000, 4 << 20, 17_000, 64 << 10, 1 << 20, 40_000}
	a := newTarget(t, func(p *peer) {
		for text := p.request(); text != ""; text = p.request() {
			var size int
			fmt.Sscanf(text, "GET /%d", &size)
			switch {
			case strings.HasPrefix(text, "HEAD"):
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			case strings.HasPrefix(text, "GET /304"):
				p.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000000\r\n\r\n")
			case strings.HasPrefix(text, "GET /204"):
				p.send("HTTP/1.1 204 No Content\r\n\r\n")
			case strings.HasPrefix(text, "GET /chunked"):
				p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", 70_000, varied(70_000)))
			default:
				p.send(ok(varied(size)))
			}
		}
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("")
	ask := func(method, path string, status int, body string) {
		t.Helper()
		c.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		c.reply(method).want(t, status, body)
	}
	for _, size := range sizes {
		ask("GET", fmt.Sprintf("/%d", size), 200, varied(size))
	}
	for _, path := range []string{"/304", "/204"} {
		ask("GET", "/100000", 200, varied(100_000))
		ask("GET", path, int(path[1]-'0')*100+4, "")
	}
	ask("GET", "/100000", 200, varied(100_000))
	ask("HEAD", "/100000", 200, "")
	ask("GET", "/100000", 200, varied(100_000))
	ask("GET", "/chunked", 200, varied(70_000))
	ask("GET", "/100000", 200, varied(100_000))
	if n := a.accepted(); n != 1 {
		t.Errorf("%d connections to the target, want 1", n)
	}
	r.noPipes()
}

// A client that takes its response later, or slowly, gets all of it.
func TestMovedToSlowClient(t *testing.T) {
	const size = 8 << 20
	for name, limits := range map[string]engine.Limits{"waits": {}, "spooled": {SpoolOutput: 64 << 20}} {
		t.Run(name, func(t *testing.T) {
			a := newTarget(t, answering(ok(varied(size))))
			r := newRig(t, rigOptions{limits: limits}, a)
			c := r.dialSlow()
			if name == "waits" {
				r.inPipe()
			}
			c.reply("GET").wants(t, varied(size))
			c.send(get)
			c.reply("GET").wants(t, varied(size))
			r.noPipes()
		})
	}
}

// When the client has everything but what waits for it here, the connection to the target serves another one.
func TestMovedAndDone(t *testing.T) {
	const size = 100 << 10
	a := newTarget(t, answering(ok(varied(size))))
	r := newRig(t, rigOptions{}, a)
	for range 3 {
		r.get().want(t, 200, varied(size))
	}
	if n := a.accepted(); n != 1 {
		t.Errorf("%d connections to the target, want 1", n)
	}
}

// More clients than there are pipes take nothing for a while. Those that go on get their bodies, and the number of descriptors is that of before.
func TestMovedBounds(t *testing.T) {
	const clients, size = 70, 4 << 20
	body := varied(size)
	a := newTarget(t, answering(ok(body)))
	r := newRig(t, rigOptions{}, a)
	r.get().want(t, 200, body)
	before := openFiles(t)
	var all []*peer
	for range clients {
		all = append(all, r.dialSlow())
	}
	r.inPipe()
	most := 0
	for i, c := range all {
		most = max(most, r.pipes())
		if i%10 == 0 { // all of them would take long
			c.reply("GET").wants(t, body)
		}
		c.Close()
	}
	if most > 64 {
		t.Errorf("%d pipes have bytes, the bound is 64", most)
	}
	r.noPipes()
	for _, l := range a.idle() {
		l.Close()
	}
	// 16 empty pipes may be kept.
	until(t, "descriptors are closed", func() bool { return before < 0 || openFiles(t) <= before+2*16 })
}

// openFiles is how many descriptors this process has, or -1.
func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list)
}

// idle returns the open connections of a target.
func (a *target) idle() (list []io.Closer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.conns {
		list = append(list, c)
	}
	return list
}

// A client that goes away while bytes for it are in a pipe gives the pipe back, and the target is told.
func TestMovedClientGone(t *testing.T) {
	for name, leave := range map[string]func(*peer){"close": func(p *peer) { p.Close() }, "reset": (*peer).reset} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{}, 1)
			a := newTarget(t, func(p *peer) {
				p.request()
				p.send(ok(varied(20 << 20)))
				gone <- struct{}{}
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dialSlow()
			r.inPipe()
			leave(c)
			select {
			case <-gone:
			case <-time.After(patience):
				t.Error("the target still sends")
			}
			r.logged(200, false)
			r.noPipes()
		})
	}
}

// A target that breaks off a large body resets the client, which has got nothing that looks complete.
func TestMovedBodyBrokenOff(t *testing.T) {
	for name, end := range map[string]func(*peer){"close": func(p *peer) { p.Close() }, "reset": (*peer).reset, "half": (*peer).closeWrite} {
		for _, sent := range []int{100, 50_000, 300_000} {
			t.Run(fmt.Sprint(name, sent), func(t *testing.T) {
				a := newTarget(t, func(p *peer) {
					if p.n == 1 {
						answering(ok(varied(100_000)))(p)
						return
					}
					p.request()
					p.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + varied(sent))
					end(p)
				})
				r := newRig(t, rigOptions{}, a)
				first := r.dial(get)
				first.reply("GET").want(t, 200, varied(100_000)) // large ones are expected from now on
				for _, l := range a.idle() {
					l.Close()
				}
				until(t, "the connection is gone", func() bool { return a.open() == 0 })
				got := r.get()
				if got.err == nil && got.status == 200 {
					t.Errorf("complete: %d bytes", len(got.body))
				}
				if !strings.HasPrefix(varied(sent), got.body) && got.status == 200 {
					t.Error("other bytes arrived")
				}
				if got.status == 200 {
					r.failure(ErrTruncated)
				}
				r.noPipes()
			})
		}
	}
}

// A target that is silent in the middle of a large body is given up after Stall.
func TestMovedBodyStalls(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + varied(200_000))
		p.wait()
	})
	o := rigOptions{}
	o.Stall = 50 * time.Millisecond
	r := newRig(t, o, a)
	if got := r.get(); got.err == nil || !strings.HasPrefix(varied(200_000), got.body) {
		t.Errorf("%d bytes, error %v", len(got.body), got.err)
	}
	r.failure(ErrTruncated)
	r.noPipes()
}

// A target that sends more than it has announced: the client gets what was announced, and the connection is not used again.
func TestMovedBodyTooLong(t *testing.T) {
	const size = 200_000
	for _, extra := range []int{1, 100, 300_000} {
		t.Run(fmt.Sprint(extra), func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				for p.request() != "" {
					p.send(ok(varied(size)) + strings.Repeat("x", extra))
				}
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dial("")
			for range 4 {
				c.send(get)
				c.reply("GET").wants(t, varied(size))
			}
			if n := a.accepted(); n != 4 {
				t.Errorf("%d connections to the target, want one for each request", n)
			}
		})
	}
}

// A body whose parts come with pauses is complete, whatever the size of the parts.
func TestMovedInParts(t *testing.T) {
	for _, part := range []int{100, 3000, 20_000, 90_000} {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			body := varied(part * 12)
			proceed := make(chan struct{})
			a := newTarget(t, func(p *peer) {
				for p.request() != "" {
					p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)))
					for at := 0; at < len(body); at += part {
						p.send(body[at : at+part])
						<-proceed
					}
				}
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dial("")
			for range 3 {
				c.send(get)
				for {
					line, err := c.r.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					if line == "\r\n" {
						break
					}
				}
				for at := 0; at < len(body); at += part {
					if got := c.take(part); got != body[at:at+part] {
						t.Fatalf("other bytes at %d", at)
					}
					proceed <- struct{}{}
				}
			}
			if n := a.accepted(); n != 1 {
				t.Errorf("%d connections to the target, want 1", n)
			}
		})
	}
}

// An engine that ends while bytes are in a pipe lets the client have them, in the time that it is given.
func TestMovedWhileDraining(t *testing.T) {
	const size = 8 << 20
	a := newTarget(t, answering(ok(varied(size))))
	r := newRig(t, rigOptions{}, a)
	c := r.dialSlow()
	r.inPipe()
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- r.e.Drain(ctx)
	}()
	c.reply("GET").wants(t, varied(size))
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	r.noPipes()
}

// A target on a Unix socket: large bodies are moved from it, too.
func TestMovedFromUnixSocket(t *testing.T) {
	const size = 300_000
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := serveTarget(t, ln, answering(ok(varied(size))))
	r := newRigOf(t, rigOptions{}, upstream.Target{Addr: "unix:" + path})
	c := r.dial("")
	for range 3 {
		c.send(get)
		c.reply("GET").wants(t, varied(size))
	}
	if n := a.accepted(); n != 1 {
		t.Errorf("%d connections to the target, want 1", n)
	}
	r.noPipes()
}
