package engine

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"moonbridge/handler/proxyproto"

	"golang.org/x/net/http2"
)

// awaits checks that AwaitEnded waits for something.
func awaits(t *testing.T, e *Engine, what string) {
	t.Helper()
	if err := endedNow(t, e); err != context.Canceled {
		t.Errorf("AwaitEnded does not wait for %s: %v", what, err)
	}
}

// endedNow is what AwaitEnded says at once: the error of a context if there is something to wait for.
func endedNow(t *testing.T, e *Engine) error {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	return e.AwaitEnded(over)
}

// ends checks that AwaitEnded does not wait for ever.
func ends(t *testing.T, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	if err := e.AwaitEnded(ctx); err != nil {
		t.Error(err)
	}
}

// servedTLS is an engine with one loop, and a listener with TLS that a testBackend serves. timeout is that of handshakes.
func servedTLS(t *testing.T, timeout time.Duration) (*Engine, *Listener) {
	t.Helper()
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetTLS(&TLS{Config: serverConfig(), HandshakeTimeout: timeout})
	mustServe(t, e, ln, &testBackend{window: 64})
	return e, ln
}

// beginHandshake begins the handshake of a connection. finish goes on with it, and returns at its end.
func beginHandshake(t *testing.T, e *Engine, c net.Conn) (finish func() *tls.Conn) {
	t.Helper()
	h := &held{Conn: c, letGo: make(chan struct{})}
	secure := tls.Client(h, clientConfig())
	result := make(chan error, 1)
	go func() { result <- secure.Handshake() }()
	eventually(t, "the handshake runs", func() bool { running, _ := e.Handshakes(); return running == 1 })
	return func() *tls.Conn {
		t.Helper()
		close(h.letGo)
		if err := wait(t, result, "the end of the handshake"); err != nil {
			t.Fatal(err)
		}
		return secure
	}
}

// A connection that throws away the rest of a body may bring another request after that.
func TestAwaitEndedAfterUnreadBody(t *testing.T) {
	e, ln := served(t, &testBackend{window: 64})
	if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{BufferBody: -1}); err != nil {
		t.Fatal(err)
	}
	p := dial(t, ln.Addr())
	p.say("POST /never-read HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
	p.hears(200)
	eventually(t, "the rest of the body is awaited", func() bool { return inState(e, stateDiscarding) == 1 })
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	awaits(t, e, "the next request")
	since := time.Now()
	p.say("cd")
	p.endsAfterRequest(since)
	ends(t, e)
}

// With HTTP/2, requests may be incomplete, or wait for others, when their client has been told already which streams are served.
func TestAwaitEndedStreams(t *testing.T) {
	b := &fewBackend{testBackend{window: 64}}
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, b, 0, Limits{H2C: true}); err != nil {
		t.Fatal(err)
	}
	e.onEveryLoop(func(l *loop) error { l.h2Part().lookMS = 1 << 40; return nil })
	uploads, waits := dialH2(t, ln.Addr()), dialH2(t, ln.Addr())
	uploads.post(1, "/echo")
	uploads.WriteData(1, false, []byte("ab"))
	last := uint32(1 + 2*h2OverlapMin)
	for id := uint32(1); id < last; id += 2 {
		waits.get(id, "/slow")
	}
	waits.get(last, "/hello")
	for _, p := range []*h2Peer{uploads, waits} {
		p.WritePing(false, [8]byte{1})
		until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	}
	b.awaitSlow(t, h2OverlapMin)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for p, id := range map[*h2Peer]uint32{uploads: 1, waits: last} {
		ping := until2(p, func(f *http2.PingFrame) bool { return !f.IsAck() })
		awaits(t, e, "streams that begin")
		p.WritePing(true, ping.Data)
		until2(p, func(f *http2.GoAwayFrame) bool { return f.LastStreamID == id })
	}
	awaits(t, e, "requests that are not complete, or wait")
	uploads.WriteData(1, true, []byte("cd"))
	uploads.wants(1, "200", "abcd")
	awaits(t, e, "a request that waits")
	b.release()
	waits.wants(last, "200", "hello")
	ends(t, e)
	uploads.Close()
	waits.Close()
}

// A TLS handshake that is in progress when its listener closes ends with a connection that brings a request.
func TestAwaitEndedHandshake(t *testing.T) {
	e, ln := servedTLS(t, 0)
	finish := beginHandshake(t, e, dial(t, ln.Addr()))
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	awaits(t, e, "the handshake")
	since := time.Now()
	c := finish()
	p := &peer{t, c, bufio.NewReader(c)}
	p.endsAfterRequest(since)
	ends(t, e)
}

// When a listener closes, connections on which nothing has come have a second for that, with TLS or a preface, too.
func TestAwaitEndedSilent(t *testing.T) {
	for name, set := range map[string]func(*Listener){
		"plain":   func(*Listener) {},
		"TLS":     func(ln *Listener) { ln.SetTLS(&TLS{Config: serverConfig(), HandshakeTimeout: -1}) },
		"preface": func(ln *Listener) { ln.SetPreface(proxyproto.New(waitMost)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &testBackend{window: 64}
			e, ln := served(t, b)
			set(ln)
			mustServe(t, e, ln, b)
			c, err := net.Dial("tcp4", ln.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			eventually(t, "the connection is accepted", func() bool { return e.Conns() == 1 })
			since := time.Now()
			if err := ln.Close(); err != nil {
				t.Fatal(err)
			}
			if err := endedNow(t, e); err != context.Canceled && time.Since(since) < time.Second {
				t.Errorf("AwaitEnded does not wait for the first request: %v", err)
			}
			ends(t, e)
		})
	}
}

// One loop accepts from a Unix socket for all. What it gives to another one that has ended the connections of the listener ends, too.
func TestListenerCloseEndsConnectionsOnTheirWay(t *testing.T) {
	e := startEngine(t, Options{Loops: 2})
	ln, err := e.Open("unix", filepath.Join(t.TempDir(), "socket"), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{IdleTimeout: -1}); err != nil {
		t.Fatal(err)
	}
	busy, release := make(chan struct{}), make(chan struct{})
	for _, l := range e.loops {
		l.r.Post(func() { busy <- struct{}{}; <-release })
	}
	for range e.loops {
		wait(t, busy, "the loop is busy")
	}
	var peers []*peer
	for range 4 {
		peers = append(peers, dialOn(t, "unix", ln.Addr()))
	}
	closed := make(chan error, 1)
	go func() { closed <- ln.Close() }()
	eventually(t, "one loop is to close the socket, and both to end the connections", func() bool {
		return e.loops[0].r.Posted()+e.loops[1].r.Posted() == 3
	})
	close(release)
	if err := wait(t, closed, "the end of Close"); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		p.hearsEnd()
	}
}

// A peer that begins its handshake in the last second has the time for a handshake, as any other.
func TestHandshakeBegunLate(t *testing.T) {
	const hour = uint64(time.Hour / time.Millisecond)
	for _, timeout := range []time.Duration{time.Minute, -1} {
		e, ln := servedTLS(t, timeout)
		raw := dial(t, ln.Addr())
		eventually(t, "the connection is accepted", func() bool { return e.Conns() == 1 })
		e.onEveryLoop(func(l *loop) error { // what Close does. The last second is an hour here, since a test may be slow
			l.unbind(ln)
			for h := range l.tls.handshakes {
				l.sys.setTimer(&h.timer, l.sys.nowMS()+hour)
			}
			return nil
		})
		finish := beginHandshake(t, e, raw)
		e.onEveryLoop(func(l *loop) error {
			for h := range l.tls.handshakes {
				switch left := h.timer.Deadline() - l.sys.nowMS(); {
				case timeout < 0 && h.timer.Armed():
					t.Error("no time limit is set, and there is one")
				case timeout > 0 && (!h.timer.Armed() || left > hour/2):
					t.Errorf("armed %v, %d ms left", h.timer.Armed(), left)
				}
			}
			return nil
		})
		finish().Close()
	}
}

// A process that hands over its listeners does not wait for peers that do not begin their handshakes. One that does so in the last second has
// the time for it, and for a request.
func TestRetireEndsHandshakesThatDoNotBegin(t *testing.T) {
	const hour = uint64(time.Hour / time.Millisecond)
	e, ln := servedTLS(t, -1)
	silent, late := dial(t, ln.Addr()), dial(t, ln.Addr())
	eventually(t, "the connections are accepted", func() bool { return e.Conns() == 2 })
	ln.HandOver()
	e.stopping.Store(true)
	e.onEveryLoop(func(l *loop) error { // what Retire does. The last second of one is an hour here, since a test may be slow
		l.drain(true)
		for h := range l.tls.handshakes {
			if !h.timer.Armed() {
				t.Error("a handshake that has not begun has no time limit")
			}
			if h.c.peer.String() == late.LocalAddr().String() {
				l.sys.setTimer(&h.timer, l.sys.nowMS()+hour)
			}
		}
		return nil
	})
	finish := beginHandshake(t, e, late)
	e.onEveryLoop(func(l *loop) error {
		for h := range l.tls.handshakes {
			if h.state == handshakeRunning && h.timer.Armed() {
				t.Error("the limit is still that of the beginning")
			}
		}
		return nil
	})
	silent.hearsEnd()
	finish().Close()
	if err := e.Retire(t.Context()); err != nil {
		t.Error(err)
	}
}
