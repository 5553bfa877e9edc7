package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/upstream"
)

// Row: the client has gone. The connection to the target is kept if little of the response is missing, and closed otherwise.
func TestClientGone(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		rest       int
		kept       bool
	}{
		{"little is missing", "Content-Length: 60003", 60_000, true},
		{"much is missing", "Content-Length: 200003", 200_000, false},
		{"nobody knows how much", "Transfer-Encoding: chunked", 10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gone := make(chan struct{})
			a := newTarget(t, func(p *peer) {
				if p.n > 1 { // never kept: of two kept connections the newest would be used again and again
					answering(strings.Replace(ok("second"), "\r\n", "\r\nConnection: close\r\n", 1))(p)
					return
				}
				p.request()
				first := "abc"
				if strings.HasPrefix(tt.head, "T") {
					first = "3\r\nabc\r\n"
				}
				p.send("HTTP/1.1 200 OK\r\n" + tt.head + "\r\n\r\n" + first)
				<-gone
				p.send(strings.Repeat("x", tt.rest))
				answering(ok("first"))(p)
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dial(get)
			c.request()
			c.take(3)
			c.reset()
			until(t, "the request is over", func() bool { return r.set.Servers()[0].Active() == 0 })
			close(gone)
			want := "second"
			if tt.kept {
				// The rest of the response is read before the connection is used again.
				until(t, "it is used again", func() bool { return r.get().body == "first" })
				want = "first"
			}
			r.get().want(t, 200, want)
		})
	}
}

// A client that goes before there is a response: the target is told.
func TestClientGoneBefore(t *testing.T) {
	arrived := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		close(arrived)
		p.wait()
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial(get)
	<-arrived
	c.Close()
	until(t, "the connection to the target is closed", func() bool { return a.open() == 0 })
	r.logged(499, false)
}

// A client that has finished sending in the middle of a response may still read.
func TestClientHalfClose(t *testing.T) {
	closed := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
		<-closed
		p.send("def")
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial(get)
	c.request()
	c.closeWrite()
	close(closed)
	if got := c.take(6); got != "abcdef" {
		t.Errorf("%q", got)
	}
}

// The request body breaks off: the target must not take it for complete.
func TestRequestBrokenOff(t *testing.T) {
	for _, tt := range []struct{ name, framing, rest string }{
		{"length", "Content-Length: 100000", ""},
		{"chunked", "Transfer-Encoding: chunked", ""},
		{"invalid chunk", "Transfer-Encoding: chunked", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan answer, 1)
			arrived := make(chan struct{})
			a := newTarget(t, func(p *peer) {
				p.request()
				close(arrived)
				text, err := p.all()
				got <- answer{text, err}
			})
			r := newRig(t, rigOptions{}, a)
			body := "3\r\nabc\r\n"
			c := r.dial("POST / HTTP/1.1\r\nHost: x\r\n" + tt.framing + "\r\n\r\n" + body)
			<-arrived
			c.send(tt.rest)
			c.closeWrite()
			if h := c.request(); !strings.HasPrefix(h, "HTTP/1.1 400 ") && h != "" {
				t.Errorf("%q", h)
			}
			if g := <-got; g.err == nil || strings.HasSuffix(g.text, "0\r\n\r\n") {
				t.Errorf("the target got %q, and a proper end", g.text)
			}
		})
	}
}

// answer is what a peer has read.
type answer struct {
	text string
	err  error
}

// Row: a slow client. Upstream.Stall counts the target only: while the client takes nothing, nothing is wrong with the target.
func TestSlowClient(t *testing.T) {
	const size = 16 << 20 // more than sockets and windows hold
	big := newTarget(t, func(p *peer) {
		p.request()
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		for range size >> 16 {
			p.send(strings.Repeat("x", 1<<16))
		}
		p.wait()
	})
	stalls := newTarget(t, func(p *peer) {
		p.request()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		p.wait()
	})
	r := newRig(t, rigOptions{Options: upstream.Options{Stall: time.Second}}, big, stalls)
	c := r.dial(get)
	c.request()
	// The other target stalls, which is noticed. By then the slow client has waited longer than that.
	for range 2 {
		if err := r.set.Replace(upstream.Target{Addr: stalls.addr()}); err != nil {
			t.Fatal(err)
		}
		if got := r.get(); got.err == nil {
			t.Error("a target that stalls is not noticed")
		}
		r.failure(ErrTruncated)
	}
	got := c.take(size)
	if len(got) != size {
		t.Errorf("%d bytes: %s", len(got), got[max(0, len(got)-100):])
	}
}

// Row: targets with slots. Requests wait for one, in the order of their arrival.
func TestQueue(t *testing.T) {
	gate := make(chan struct{})
	a := newTarget(t, func(p *peer) {
		for p.request() != "" {
			<-gate
			p.send(ok("x"))
		}
	})
	r := newRigOf(t, rigOptions{loops: 2, Options: upstream.Options{QueueTime: time.Hour}}, upstream.Target{Addr: a.addr(), Slots: 1})
	var clients []*peer
	for i := range 10 {
		clients = append(clients, r.dial(fmt.Sprintf("PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", i)))
		until(t, "it waits", func() bool { return r.set.Waiting() == i && r.set.Servers()[0].Active() == 1 })
	}
	clients[5].Close() // leaves the queue
	until(t, "it has left", func() bool { return r.set.Waiting() == 8 })
	for i, c := range clients {
		if i == 5 {
			continue
		}
		gate <- struct{}{}
		c.reply("PUT").want(t, 200, "x")
	}
}

func TestQueueBounds(t *testing.T) {
	a := newTarget(t, func(p *peer) {
		p.request()
		p.wait()
	})
	taken := func(d time.Duration) (r *rig, c *peer) {
		r = newRigOf(t, rigOptions{Options: upstream.Options{Queue: 1, QueueTime: d}}, upstream.Target{Addr: a.addr(), Slots: 1})
		c = r.dial(get)
		until(t, "the slot is taken", func() bool { return r.set.Servers()[0].Active() == 1 })
		return r, c
	}
	r, c := taken(time.Hour)
	waits := r.dial(get)
	until(t, "the queue is full", func() bool { return r.set.Waiting() == 1 })
	if got := r.get(); got.status != 503 {
		t.Errorf("status %d: the queue is full", got.status)
	}
	r.failure(ErrBusy)
	waits.Close()
	c.Close()

	r, c = taken(50 * time.Millisecond)
	if got := r.get(); got.status != 503 {
		t.Errorf("status %d: the time is over", got.status)
	}
	r.failure(ErrBusy)
	c.Close()
}

// A request that waits is not lost when another one before it has left in the moment that a slot was meant for it.
func TestQueueWithLeavers(t *testing.T) {
	a := newTarget(t, answering(ok("x")))
	r := newRigOf(t, rigOptions{loops: 2, Options: upstream.Options{QueueTime: time.Hour}, limits: engine.Limits{}},
		upstream.Target{Addr: a.addr(), Slots: 1})
	done := make(chan int, 8)
	for i := range 8 {
		go func() {
			good := 0
			for n := range 50 {
				c := r.dial(get)
				if (n+i)%3 == 0 {
					c.Close()
					continue
				}
				if c.reply("GET").status == 200 {
					good++
				}
				c.Close()
			}
			done <- good
		}()
	}
	for range 8 {
		if good := <-done; good < 33 || good > 34 {
			t.Errorf("%d of a client's requests were answered", good)
		}
	}
}
