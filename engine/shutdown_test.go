package engine

import (
	"context"
	"fmt"
	"path/filepath"
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
				l.Post(func() { busy <- struct{}{}; <-release })
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
