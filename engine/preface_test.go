package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/proxyproto"
)

const (
	fromV1 = "PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n"
	wantV1 = "198.51.100.2:443 198.51.100.2:443 192.0.2.1:1234"
)

// behind serves b on an address whose connections start with a preface.
func behind(t *testing.T, o Options, network, address string, p *backend.Preface, b backend.Backend) (*Engine, *Listener) {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		e.Shutdown(ctx)
		noConns(t, e)
	})
	ln, err := e.Open(network, address, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetPreface(p)
	if _, raw := b.(*rawBackend); raw {
		err = e.ServeSockets(ln, b, 7)
	} else {
		err = e.Serve(ln, b, 0, Limits{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return e, ln
}

// waitsForPreface waits until n connections wait for the rest of their prefaces.
func waitsForPreface(t *testing.T, e *Engine, n int) {
	t.Helper()
	eventually(t, "connections wait for prefaces", func() bool {
		found := make(chan int, len(e.loops))
		e.onEveryLoop(func(l *loop) error {
			watched := 0
			for p := range l.prefaced {
				if p.watched {
					watched++
				}
			}
			found <- watched
			return nil
		})
		sum := 0
		for range e.loops {
			sum += <-found
		}
		return sum == n
	})
}

// A preface is taken off wherever it is cut, and its addresses are those of all requests that follow. Then the connection is
// like any other.
func TestPreface(t *testing.T) {
	e, ln := behind(t, Options{Loops: 2}, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &testBackend{window: 64})
	all := fromV1 + get("/addrs") + get("/addrs")
	for cut := range len(fromV1) + 3 {
		p := dial(t, ln.Addr())
		if cut > 0 {
			p.say(all[:cut])
		}
		if cut < len(fromV1) {
			waitsForPreface(t, e, 1)
		}
		p.say(all[cut:])
		for range 2 {
			if got := p.hears(200); got != wantV1 {
				t.Errorf("cut at %d: %q", cut, got)
			}
		}
		p.Close()
	}
}

// Without addresses in the preface, those of the connection count.
func TestPrefaceWithoutAddresses(t *testing.T) {
	for _, at := range listensAt[:2] {
		_, ln := behind(t, Options{Loops: 1}, at.network, at.address, proxyproto.New(waitMost), &testBackend{window: 64})
		p := dial(t, at.host+ln.Addr()[strings.LastIndexByte(ln.Addr(), ':'):])
		p.say("PROXY UNKNOWN\r\n" + get("/addrs"))
		want := p.RemoteAddr().String() + " " + p.RemoteAddr().String() + " " + p.LocalAddr().String()
		if got := p.hears(200); got != want {
			t.Errorf("%s: %q, want %q", at.name, got, want)
		}
	}
}

// On a Unix socket a preface is the only source of addresses.
func TestPrefaceUnix(t *testing.T) {
	_, ln := behind(t, Options{Loops: 1}, "unix", filepath.Join(t.TempDir(), "socket"), proxyproto.New(waitMost), &testBackend{window: 64})
	p := dialOn(t, "unix", ln.Addr())
	p.say(fromV1 + get("/addrs"))
	if got := p.hears(200); got != wantV1 {
		t.Errorf("%q", got)
	}
}

// A raw connection is handed over with every byte that follows the preface.
func TestPrefaceOfRawConnection(t *testing.T) {
	e, ln := behind(t, Options{Loops: 1}, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &rawBackend{})
	for _, cut := range []int{0, 5, len(fromV1) - 1, len(fromV1), len(fromV1) + 2} {
		p := dial(t, ln.Addr())
		p.say(fromV1[:min(cut, len(fromV1))])
		if 0 < cut && cut < len(fromV1) {
			waitsForPreface(t, e, 1)
		}
		p.say(fromV1[min(cut, len(fromV1)):] + "hello\n")
		for _, want := range []string{"7 198.51.100.2:443 192.0.2.1:1234\n", "hello\n"} {
			if line, err := p.r.ReadString('\n'); line != want {
				t.Errorf("cut at %d: %q, %v", cut, line, err)
			}
		}
		p.Close()
	}
}

// What does not start with a preface is reset and counted, whatever it is. A peer that closes without a byte is not.
func TestPrefaceRefused(t *testing.T) {
	var out bytes.Buffer
	short := proxyproto.New(waitMost)
	short.Bytes = 30
	never := proxyproto.New(time.Millisecond)
	for _, tt := range []struct {
		name, sent string
		preface    *backend.Preface
		end        bool
		cause      string
	}{
		{"HTTP", get("/hello"), nil, false, `cause="no PROXY protocol header"`},
		{"malformed", "PROXY TCP4 a b c d\r\n", nil, false, `cause="malformed PROXY protocol header"`},
		{"too long", fromV1, short, false, `cause="preface too long"`},
		{"end", fromV1[:20], nil, true, ""}, // the deadline's, since the start stays in the socket
		{"timeout", fromV1[:20], never, false, `cause="preface not received in time"`},
		{"timeout without a byte", "", never, false, `cause="preface not received in time"`},
		{"nothing", "", nil, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out.Reset()
			if tt.preface == nil {
				tt.preface = proxyproto.New(waitMost)
			}
			b := &testBackend{window: 64}
			e, ln := behind(t, Options{Loops: 1, Logger: slog.New(slog.NewTextHandler(&out, nil))}, "tcp4", "127.0.0.1:0", tt.preface, b)
			if c, err := net.Dial("tcp4", ln.Addr()); err == nil { // a short timeout may reset it before the call returns
				p := &peer{t, c.(stream), bufio.NewReader(c)}
				t.Cleanup(func() { c.Close() })
				c.SetDeadline(time.Now().Add(waitMost))
				io.WriteString(c, tt.sent) // likewise
				if tt.end {
					p.CloseWrite()
				}
				if tt.cause != "" {
					p.hearsReset()
				}
			} else if !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			e.Shutdown(context.Background())
			if text := out.String(); tt.cause != "" && !strings.Contains(text, `msg="connections refused" `+tt.cause) ||
				tt.cause == "" && strings.Contains(text, "refused") {
				t.Errorf("log: %s", text)
			}
			if b.started != 0 {
				t.Errorf("%d requests", b.started)
			}
		})
	}
}

// Connections that wait for their prefaces count, and are answered above the limit like others.
func TestPrefacedAreCounted(t *testing.T) {
	e, ln := behind(t, Options{Loops: 1, MaxConns: 1}, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &testBackend{window: 64})
	first := dial(t, ln.Addr())
	waitsForPreface(t, e, 1)
	if n := e.Conns(); n != 1 {
		t.Errorf("%d connections", n)
	}
	second := dial(t, ln.Addr())
	second.hears(503)
	first.say(fromV1 + get("/addrs"))
	if got := first.hears(200); got != wantV1 {
		t.Errorf("%q", got)
	}
}

// The preface is that of the last Serve. Connections keep their addresses when it changes.
func TestPrefaceChanges(t *testing.T) {
	b := &testBackend{window: 64}
	e, ln := behind(t, Options{Loops: 1}, "tcp4", "127.0.0.1:0", nil, b)
	plain := dial(t, ln.Addr())
	want := plain.RemoteAddr().String() + " " + plain.RemoteAddr().String() + " " + plain.LocalAddr().String()
	ask := func(p *peer, before, want string) {
		t.Helper()
		p.say(before + get("/addrs"))
		if got := p.hears(200); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	ask(plain, "", want)
	ln.SetPreface(proxyproto.New(waitMost))
	mustServe(t, e, ln, b)
	named, waiting := dial(t, ln.Addr()), dial(t, ln.Addr())
	ask(named, fromV1, wantV1)
	ask(plain, "", want)
	waitsForPreface(t, e, 1)
	ln.SetPreface(nil)
	mustServe(t, e, ln, b)
	ask(named, "", wantV1)
	ask(waiting, fromV1, wantV1)
	named.Close()
	for range 3 { // one of them has the descriptor of a connection that had a preface
		p := dial(t, ln.Addr())
		ask(p, "", p.RemoteAddr().String()+" "+p.RemoteAddr().String()+" "+p.LocalAddr().String())
	}
}

// At a shutdown, a connection without a preface ends like an idle one; a request that has arrived is answered. The same goes
// for a listener that is closed.
func TestPrefaceAtTheEnd(t *testing.T) {
	e, ln := behind(t, Options{Loops: 1}, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &testBackend{window: 64})
	closed := dial(t, ln.Addr())
	waitsForPreface(t, e, 1)
	since := time.Now()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	closed.say(fromV1)
	closed.endsAfterRequest(since)

	e, ln = behind(t, Options{Loops: 1}, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &testBackend{window: 64})
	idle := dial(t, ln.Addr())
	waitsForPreface(t, e, 1)
	if err := e.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	idle.hearsReset()
}

// The access log has the client of the preface.
func TestPrefaceInAccessLog(t *testing.T) {
	logged := make(chan netip.AddrPort, 1)
	o := Options{Loops: 1, AccessLog: func(a *Access) { logged <- a.Peer }}
	_, ln := behind(t, o, "tcp4", "127.0.0.1:0", proxyproto.New(waitMost), &testBackend{window: 64})
	p := dial(t, ln.Addr())
	p.say(fromV1 + get("/hello"))
	p.hears(200)
	if got := <-logged; got.String() != "192.0.2.1:1234" {
		t.Errorf("%v", got)
	}
}
