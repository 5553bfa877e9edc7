package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// What has reached this machine before the shutdown began is answered, whether the loop has noticed it or not: requests on
// connections that were idle, and on connections that nobody has accepted yet.
func TestShutdownAnswersWhatWaits(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			e, err := New(Options{Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			ln, err := e.Open(network, address, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
				t.Fatal(err)
			}
			address = ln.Addr()
			const each = 300
			var peers []*peer
			for range each {
				p := dialOn(t, network, address)
				p.say(get("/hello"))
				p.hears(200)
				peers = append(peers, p)
			}
			// Now the loops do not get to anything else until Shutdown has begun.
			busy, release := make(chan struct{}), make(chan struct{})
			for _, l := range e.loops {
				l.r.Post(func() { busy <- struct{}{}; <-release })
			}
			for range e.loops {
				<-busy
			}
			for range each {
				peers = append(peers, dialOn(t, network, address))
			}
			for i, p := range peers {
				p.say(post("/echo", fmt.Sprint(i)))
			}
			done := make(chan error, 1)
			go func() { done <- e.Shutdown(context.Background()) }()
			eventually(t, "the shutdown begins", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.stopped })
			close(release)
			for i, p := range peers {
				if got := p.hears(200); got != fmt.Sprint(i) {
					t.Errorf("body %q, want %d", got, i)
				}
				p.hearsEnd()
				p.Close()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// A connection that has sent its body to the last byte looks as if there was more to read. When its exchange ends after the
// shutdown has begun there is nothing, and it must not be kept waiting for the next request.
func TestShutdownAfterBody(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := start(t, Options{Loops: 1}, Limits{BufferBody: 10}, b)
	p := dial(t, addr)
	p.say("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
	eventually(t, "the exchange starts", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.slow) == 1 })
	p.say(strings.Repeat("x", 100))
	eventually(t, "the body is there", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.bodies == 1 })
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	eventually(t, "idle connections are closed", func() bool { return e.stopping.Load() })
	e.onEveryLoop(func(*loop) error { return nil })
	e.onEveryLoop(func(*loop) error { return nil })
	b.release()
	p.hears(200)
	p.hearsEnd()
	p.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// No connection ends because of the shutdown as long as one listening socket is still open: its peer might come back
// through that, only to be turned away.
func TestShutdownClosesListenersFirst(t *testing.T) {
	e, addr := start(t, Options{Loops: 2}, Limits{}, &testBackend{window: 64})
	var p *peer
	for p == nil {
		q := dial(t, addr)
		q.say(get("/hello"))
		q.hears(200)
		n := make(chan int, 1)
		e.loops[0].r.Post(func() { n <- e.loops[0].conns.len })
		if <-n > 0 {
			p = q
		} else {
			q.Close()
		}
	}
	busy, release := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	e.loops[1].r.Post(func() { close(busy); <-release })
	<-busy
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	eventually(t, "the shutdown begins", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.stopped })
	closed := make(chan struct{})
	e.loops[0].r.Post(func() { close(closed) })
	<-closed
	for range 3 {
		p.say(get("/hello"))
		p.hears(200)
	}
	letGo()
	p.hearsEnd()
	p.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
