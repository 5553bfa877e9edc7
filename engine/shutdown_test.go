package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// Requests that reached the machine before the shutdown are answered, even if no loop has noticed them: on idle connections, and
// on connections that are not accepted yet.
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
			// From now on the loops are busy, until Shutdown has started.
			busy, release := make(chan struct{}), make(chan struct{})
			for _, l := range e.loops {
				l.r.Post(func() { busy <- struct{}{}; <-release })
			}
			for range e.loops {
				wait(t, busy, "the loop is busy")
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
			}
			if err := wait(t, done, "the end of the shutdown"); err != nil {
				t.Error(err)
			}
		})
	}
}

// The shutdown ends no connection while a listening socket is still open: the peer might connect again through that, only to be
// turned away.
func TestShutdownClosesListenersFirst(t *testing.T) {
	e, addr := start(t, Options{Loops: 2}, Limits{}, &testBackend{window: 64})
	var p *peer
	for p == nil {
		q := dial(t, addr)
		q.say(get("/hello"))
		q.hears(200)
		n := make(chan int, 1)
		e.loops[0].r.Post(func() { n <- e.loops[0].conns.Len() })
		if wait(t, n, "an answer of the loop") > 0 {
			p = q
		} else {
			q.Close()
		}
	}
	busy, release := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	e.loops[1].r.Post(func() { close(busy); <-release })
	wait(t, busy, "the loop is busy")
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	eventually(t, "the shutdown begins", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.stopped })
	closed := make(chan struct{})
	e.loops[0].r.Post(func() { close(closed) })
	wait(t, closed, "the listener is closed")
	for range 3 {
		p.say(get("/hello"))
		p.hears(200)
	}
	letGo()
	p.hearsEnd()
	if err := wait(t, done, "the end of the shutdown"); err != nil {
		t.Error(err)
	}
}
