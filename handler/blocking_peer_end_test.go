package handler

import (
	"testing"
	"time"
)

// peerEnds tells the backend that the peer has finished sending.
func (c *fakeConn) peerEnds() {
	c.l.turn(func() {
		if !c.over {
			c.running.PeerEnd()
		}
	})
}

// The context ends when the peer has finished sending. A handler that goes on is heard.
func TestBlockingPeerEnd(t *testing.T) {
	for name, early := range map[string]bool{"the handler waits": false, "before the handler asks": true} {
		t.Run(name, func(t *testing.T) {
			running, told := make(chan struct{}), make(chan struct{})
			b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
				if early {
					close(running)
					<-told
				}
				ctx := r.Context()
				if !early {
					close(running)
				}
				<-ctx.Done()
				w.WriteString("heard")
			}), 0)
			c := b.start(-1, get11, "", false)
			<-running
			c.peerEnds()
			close(told)
			b.until("the end", func() bool { return c.over })
			if _, body := c.response("GET"); body != "heard" || c.outcome() != "keep" {
				t.Errorf("%s, %q", c.outcome(), body)
			}
		})
	}
}

// An exchange leaves the queue when its peer has finished sending, but not before it has waited for a while.
func TestBlockingPeerEndInQueue(t *testing.T) {
	for _, c := range []struct {
		name          string
		config        Config
		before, after time.Duration // the peer's end
		want          string
	}{
		{"soon", Config{}, 0, 99 * time.Millisecond, "open"},
		{"after a while", Config{}, 0, 100 * time.Millisecond, "failed 499"},
		{"late", Config{}, time.Second, 0, "failed 499"},
		{"option", Config{GoneAfter: 2 * time.Second}, time.Second, 999 * time.Millisecond, "open"},
		{"option, later", Config{GoneAfter: 2 * time.Second}, time.Second, time.Second, "failed 499"},
		{"never", Config{GoneAfter: -1}, 0, 9 * time.Second, "open"},
		{"no time limit", Config{QueueTimeout: -1}, 0, time.Second, "failed 499"},
		{"queue timeout comes first", Config{QueueTimeout: 50 * time.Millisecond}, 0, 50 * time.Millisecond, "failed 503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			b := attachBlocking(t, c.config, Func(func(w *Response, r *Request) { <-release }), 1)
			first := b.start(-1, get11, "", false)
			waits := b.start(-1, get11, "", false)
			b.advance(c.before)
			waits.peerEnds()
			b.advance(c.after)
			if got := waits.outcome(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			close(release)
			b.until("the end", func() bool { return first.over && waits.over })
			b.advance(time.Hour)
		})
	}
}

// One that finds a goroutine at once is answered, however long that takes.
func TestBlockingPeerEndOfRunning(t *testing.T) {
	release := make(chan struct{})
	b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) { <-release }), 1)
	c := b.start(-1, get11, "", false)
	c.peerEnds()
	b.advance(time.Hour)
	close(release)
	b.until("the end", func() bool { return c.over })
	if c.outcome() != "keep" {
		t.Error(c.outcome())
	}
}
