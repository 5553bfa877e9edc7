package compress

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// stages bring a response to a point at which something can happen to it. Each returns how much of the final response the
// connection has got: nothing, a part, or all that there is so far.
var stages = []struct {
	name string
	go_  func(g *rig)
	sent bool
}{
	{"nothing", func(*rig) {}, false},
	{"half a head", func(g *rig) { g.out("HTTP/1.1 200 OK\r\nConte", false) }, false},
	{"interim", func(g *rig) { g.out("HTTP/1.1 103 Early Hints\r\n\r\n", false) }, false},
	{"a stream's head", func(g *rig) { g.out(streamHead, false) }, true},
	{"a stream", func(g *rig) { g.out(streamHead+"5\r\nhello\r\n", false) }, true},
	{"a goroutine is at work on a stream", func(g *rig) { g.out(streamHead+chunk(page(30000)), false) }, true},
	{"a goroutine is at work on a body", func(g *rig) { g.inner.x.Output([]byte(html(page(60000))), nil, false) }, false},
	{"passed", func(g *rig) { g.out("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false) }, true},
	{"the connection takes nothing of a stream", func(g *rig) {
		g.conn.take = func(int) int { return 0 }
		g.out(streamHead, false)
		g.out("5\r\nhello\r\n", false)
	}, false},
	{"the connection takes nothing", func(g *rig) {
		g.conn.take = func(int) int { return 0 }
		g.inner.x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), nil, false)
	}, false},
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// settle lets goroutines come back, and checks that everything has been given back.
func (g *rig) settle() {
	g.t.Helper()
	s := g.b.shared
	g.loop.wait(g.t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running == 0 {
			return true
		}
		g.loop.Post(func() {}) // look again
		return false
	})
	g.loop.turn()
	if s.streams != 0 || s.queued != 0 {
		g.t.Errorf("%d streams, %d bytes are left", s.streams, s.queued)
	}
}

func TestCancel(t *testing.T) {
	for _, c := range stages {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, get("gzip"), Options{})
			c.go_(g)
			g.conn.r.Cancel()
			if g.inner.cancels != 1 {
				t.Errorf("cancelled %d times", g.inner.cancels)
			}
			g.conn.ended = 1 // nothing may come any more
			g.settle()
			backend.TimesOf(g.conn.r)
		})
	}
}

func TestFailed(t *testing.T) {
	for _, c := range stages {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, get("gzip"), Options{})
			c.go_(g)
			g.inner.x.Failed(502, time.Second)
			if g.conn.failed != 502 || g.conn.ended != 1 || g.inner.cancels != 0 {
				t.Errorf("failed %d, %d ends, cancelled %d times", g.conn.failed, g.conn.ended, g.inner.cancels)
			}
			if begun := strings.Contains(g.conn.got.String(), "200 OK"); begun && !c.sent {
				t.Errorf("the connection has %q", g.conn.got.String())
			}
			g.settle()
		})
	}
}

func TestReset(t *testing.T) {
	for _, c := range stages {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, get("gzip"), Options{})
			c.go_(g)
			g.inner.x.Done(backend.EndReset)
			if g.conn.end != backend.EndReset || g.conn.ended != 1 {
				t.Errorf("end %v, %d ends", g.conn.end, g.conn.ended)
			}
			g.settle()
		})
	}
}

// TestTooShort: a body that ends too early must not look complete.
func TestTooShort(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nContent-Le", streamHead, streamHead + chunk("hello"), streamHead + chunk("hello") + "0\r\n",
		html(page(3000))[:2000], html(page(100000))[:90000],
	} {
		g := newRig(t, get("gzip"), Options{})
		g.stream(response, 30000)
		g.done(backend.EndKeep)
		if g.conn.end != backend.EndReset {
			t.Errorf("%.100q: end %v", response, g.conn.end)
		}
		g.settle()
	}
}

// TestInvalid: what is no valid body ends the response, and the inner backend is told.
func TestInvalid(t *testing.T) {
	for _, response := range []string{streamHead + chunk("hello") + "x", html(page(3000)) + "x", streamHead + "0\r\n\r\nx"} {
		g := newRig(t, get("gzip"), Options{})
		head, body, _ := strings.Cut(response, "\r\n\r\n")
		g.out(head+"\r\n\r\n", false)
		g.out(body, false)
		g.loop.wait(t, func() bool { return g.conn.ended > 0 })
		if g.conn.end != backend.EndReset || g.inner.cancels != 1 {
			t.Errorf("%.100q: end %v, cancelled %d times", response, g.conn.end, g.inner.cancels)
		}
		g.settle()
	}
}

// TestComplete: a handler goes on after its response.
func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name     string
		response string
		early    bool // the handler ends before the response is out
	}{
		{"small", html(page(2000)), false}, {"large", html(page(60000)), false}, {"stream", streamHead + chunk(page(40000)) + "0\r\n\r\n", false},
		{"passed", html("x"), false}, {"large, ended early", html(page(60000)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, get("gzip"), Options{})
			g.out(c.response, true)
			g.inner.x.Complete(g.inner, backend.EndKeep)
			if c.early {
				g.inner.x.Left(g.inner)
			}
			g.loop.wait(t, func() bool { return g.conn.ended > 0 })
			if g.conn.complete == c.early || g.conn.end != backend.EndKeep {
				t.Fatalf("complete %v, end %v", g.conn.complete, g.conn.end)
			}
			read(t, "GET", g.conn.got.String())
			if !c.early {
				g.inner.x.Left(g.inner)
				if g.conn.left != 1 {
					t.Errorf("left %d times", g.conn.left)
				}
			}
			g.settle()
		})
	}
}

// TestCompleteCancel: the connection ends while the handler goes on.
func TestCompleteCancel(t *testing.T) {
	for _, size := range []int{2000, 60000} {
		for _, wait := range []bool{false, true} {
			g := newRig(t, get("gzip"), Options{})
			g.out(html(page(size)), true)
			g.inner.x.Complete(g.inner, backend.EndKeep)
			if wait {
				g.loop.wait(t, func() bool { return g.conn.complete })
			}
			g.conn.r.PeerEnd()
			g.conn.r.Cancel()
			if g.inner.cancels != 1 || g.inner.peers != 0 {
				t.Errorf("%d, %v: cancelled %d times, told %d times", size, wait, g.inner.cancels, g.inner.peers)
			}
			g.conn.ended = 1
			g.settle()
		}
	}
}

// TestCancelAfterDone: the connection ends after the handler, before the response is out.
func TestCancelAfterDone(t *testing.T) {
	g := newRig(t, get("gzip"), Options{})
	g.out(html(page(60000)), true)
	g.inner.x.Done(backend.EndKeep)
	if q, s, _ := backend.TimesOf(g.conn.r); q != 3 || s != 4 {
		t.Errorf("times %d, %d", q, s)
	}
	g.conn.r.Cancel()
	if g.inner.cancels != 0 {
		t.Error("the inner backend is cancelled after its end")
	}
	g.conn.ended = 1
	g.settle()
}

// TestBackPressure: a connection that takes nothing stops the inner backend, whatever that has to send.
func TestBackPressure(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		g := newRig(t, get(coding), Options{})
		full := false
		g.conn.take = func(n int) int {
			if full {
				return 0
			}
			return n
		}
		g.out(streamHead, false)
		full = true
		piece := []byte(chunk(page(32 << 10)))
		taken := 0
		for idle := 0; idle < 3; {
			n := g.inner.x.Output(piece, nil, false)
			if taken += n; n < len(piece) {
				if n == 0 {
					idle++
				}
				piece = piece[n:]
				g.settled()
			} else {
				piece = []byte(chunk(page(32 << 10)))
			}
		}
		if taken > 4*bufferBytes {
			t.Errorf("%s: %d bytes are taken", coding, taken)
		}
		g.conn.take = nil
		before := g.inner.room
		g.conn.room()
		g.loop.wait(t, func() bool { return g.inner.room > before })
		g.conn.r.Cancel()
		g.conn.ended = 1
		g.settle()
	}
}

// settled waits until no goroutine is at work.
func (g *rig) settled() {
	g.loop.wait(g.t, func() bool {
		g.b.shared.mu.Lock()
		defer g.b.shared.mu.Unlock()
		if g.b.shared.running > 0 {
			g.loop.Post(func() {})
		}
		return g.b.shared.running == 0
	})
	g.loop.turn()
}

// TestStreamsBound: the streams beyond the bound are sent as they are.
func TestStreamsBound(t *testing.T) {
	g := newRig(t, get("gzip"), Options{Level: 1})
	lb, _ := g.b.Attach(g.loop)
	var conns []*fakeConn
	for i := range streamsMax + 2 {
		c := g.start(lb, get("gzip"))
		g.out(streamHead+chunk("hello"), false)
		conns = append(conns, c)
		if encoded := bytes.Contains(c.got.Bytes(), []byte("Content-Encoding")); encoded != (i < streamsMax) {
			t.Fatalf("stream %d: %q", i, c.got.String())
		}
		if !bytes.Contains(c.got.Bytes(), []byte("Vary")) {
			t.Fatalf("stream %d: %q", i, c.got.String())
		}
	}
	if got := conns[streamsMax].got.String(); !strings.HasSuffix(got, chunk("hello")) {
		t.Errorf("beyond the bound: %q", got)
	}
	conns[0].r.Cancel()
	c := g.start(lb, get("gzip"))
	g.out(streamHead+chunk("hello"), false)
	if !bytes.Contains(c.got.Bytes(), []byte("Content-Encoding")) {
		t.Error("the place of a stream that has ended is not given to another")
	}
	for _, c := range append(conns[1:], c) {
		c.r.Cancel()
	}
	g.settle()
}

// TestBusy: while too much waits for goroutines, whole bodies are sent as they are.
func TestBusy(t *testing.T) {
	g := newRig(t, get("gzip"), Options{})
	g.b.shared.queued = queuedMax
	g.out(html(page(60000)), true)
	g.done(backend.EndKeep)
	if a := read(t, "GET", g.conn.got.String()); a.body != page(60000) || a.Header.Get("Content-Encoding") != "" || a.Header.Get("Vary") == "" {
		t.Errorf("%v", a.Header)
	}
	g.b.shared.queued = 0
}

// panicking is an encoder with a fault.
type panicking struct{ encoder }

func (panicking) Write([]byte) (int, error) { panic("a fault") }

// TestPanic: a fault of a library ends the response, not the server.
func TestPanic(t *testing.T) {
	for _, response := range []string{html(page(2000)), html(page(60000)), streamHead + chunk(page(2000)), streamHead + chunk(page(60000))} {
		g := newRig(t, get("gzip"), Options{})
		k := kind{httpparse.Gzip, LevelDefault}
		g.b.shared.idle[k] = []encoder{panicking{newEncoder(k)}}
		g.out(response, false)
		g.loop.wait(t, func() bool { return g.conn.ended > 0 })
		if g.conn.end != backend.EndReset || g.inner.cancels != 1 {
			t.Errorf("end %v, cancelled %d times", g.conn.end, g.inner.cancels)
		}
		g.settle()
		if len(g.b.shared.idle[k]) != 0 {
			t.Error("an encoder with a fault is used again")
		}
	}
}

// TestPanicAfterTheEnd: what a fault has cut off does not look complete, though the inner backend has ended its response before.
func TestPanicAfterTheEnd(t *testing.T) {
	for _, response := range []string{html(page(60000)), streamHead + chunk(page(60000)) + "0\r\n\r\n"} {
		for _, left := range []bool{false, true} {
			g := newRig(t, get("gzip"), Options{})
			k := kind{httpparse.Gzip, LevelDefault}
			g.b.shared.idle[k] = []encoder{panicking{newEncoder(k)}}
			g.out(response, true) // a goroutine has it
			if left {
				g.inner.x.Complete(g.inner, backend.EndKeep)
			} else {
				g.inner.x.Done(backend.EndKeep)
			}
			g.loop.wait(t, func() bool { return g.conn.ended > 0 })
			g.settle()
			if g.conn.end != backend.EndReset || g.conn.ended != 1 {
				t.Errorf("end %v, %d times, after %q", g.conn.end, g.conn.ended, g.conn.got.String())
			}
		}
	}
}

// TestTurnBound: what one turn encodes on the loop is bounded.
func TestTurnBound(t *testing.T) {
	l := &loop{on: newFakeLoop()}
	for coding, n := range map[httpparse.Coding]int{httpparse.Gzip: 8 << 10, httpparse.Zstd: 8 << 10, httpparse.Brotli: 2 << 10} {
		l.on.(*fakeLoop).turn()
		if l.mayEncode(coding, n+1) {
			t.Errorf("%v: %d bytes at once", coding, n+1)
		}
		count := 0
		for l.mayEncode(coding, n) {
			count++
		}
		if count != 4 {
			t.Errorf("%v: %d pieces in a turn", coding, count)
		}
	}
}

// TestFiles: ranges of files are passed on, in their order.
func TestFiles(t *testing.T) {
	f := &fakeFile{}
	for _, stuck := range []bool{false, true} {
		g := &rig{t: t, loop: newFakeLoop(), inner: new(fakeInner)}
		g.b, _ = New(g.inner, Options{}, NewShared())
		lb, _ := g.b.Attach(g.loop)
		c := &fileConn{fakeConn: fakeConn{t: t}}
		if stuck {
			c.take = func(n int) int { return min(n, 10) }
		}
		var p httpparse.Parser
		var h httpparse.Head
		p.Parse(&h, []byte(get("gzip")), nil)
		c.r, _ = lb.Start(c, &h, 0, nil, false)
		response := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccept-Ranges: bytes\r\nContent-Length: 9000\r\n\r\n"
		n := g.inner.x.Output([]byte(response), nil, false)
		if stuck {
			for n < len(response) {
				c.room()
				n += g.inner.x.Output([]byte(response[n:]), nil, false)
			}
		}
		to := g.inner.x.(backend.FileSender)
		to.OutputFile(f, 0, 4000, false)
		to.OutputFile(f, 4000, 5000, true)
		g.inner.x.Done(backend.EndKeep)
		for c.ended == 0 {
			c.room()
		}
		if !slices.Equal(c.ranges, []int64{0, 4000, 4000, 5000}) || !strings.HasPrefix(c.got.String(), response) {
			t.Errorf("stuck %v: ranges %v, %q", stuck, c.ranges, c.got.String())
		}
	}
	// In a body that is compressed there can be none.
	g := &rig{t: t, loop: newFakeLoop(), inner: new(fakeInner)}
	g.b, _ = New(g.inner, Options{}, NewShared())
	lb, _ := g.b.Attach(g.loop)
	c := &fileConn{fakeConn: fakeConn{t: t}}
	var p httpparse.Parser
	var h httpparse.Head
	p.Parse(&h, []byte(get("gzip")), nil)
	c.r, _ = lb.Start(c, &h, 0, nil, false)
	g.out(streamHead, false)
	g.inner.x.(backend.FileSender).OutputFile(f, 0, 5, false)
	g.loop.wait(t, func() bool { return c.ended > 0 })
	if c.end != backend.EndReset || f.released != 1 {
		t.Errorf("end %v, released %d times", c.end, f.released)
	}
}

type fakeFile struct{ released int }

func (f *fakeFile) Fd() int  { return int(os.Stdin.Fd()) }
func (f *fakeFile) Release() { f.released++ }

// fileConn is a connection that sends files.
type fileConn struct {
	fakeConn
	ranges []int64
}

func (c *fileConn) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	c.ranges = append(c.ranges, offset, n)
}
