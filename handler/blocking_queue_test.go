package handler

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

func TestBlockingQueue(t *testing.T) {
	const limit, queue = 3, 5
	release := make(chan struct{})
	var now, most atomic.Int32
	order := make(chan string, 100)
	b := attachBlocking(t, Config{QueueMax: queue}, Func(func(w *Response, r *Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		order <- string(r.Path())
		now.Add(-1)
	}), limit)
	var conns []*fakeConn
	for i := range limit + queue {
		conns = append(conns, b.start(-1, fmt.Sprintf("GET /%d HTTP/1.1\nHost: a\n\n", i), "", false))
	}
	if _, err := b.tryStart(-1, get11, "", false); !errors.Is(err, backend.ErrQueueFull) {
		t.Errorf("got %v", err)
	}
	// Exchanges in the queue are served one after another, in order.
	for range limit + queue {
		release <- struct{}{}
	}
	for _, c := range conns {
		b.until("the end", func() bool { return c.over })
	}
	if most.Load() > limit {
		t.Errorf("%d at the same time", most.Load())
	}
	var queued []string
	for range limit + queue {
		if path := <-order; path >= "3" {
			queued = append(queued, path)
		}
	}
	if len(queued) != queue {
		t.Errorf("%q", queued)
	}
	if c := b.exchangeReleased(release); c.outcome() != "keep" {
		t.Error(c.outcome())
	}
}

func (b *fakeBackend) exchangeReleased(release chan struct{}) *fakeConn {
	c := b.start(-1, get11, "", false)
	release <- struct{}{}
	b.until("the end", func() bool { return c.over })
	return c
}

func TestBlockingQueueOrder(t *testing.T) {
	release := make(chan struct{})
	var order []string
	b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
		<-release
		order = append(order, string(r.Path()))
	}), 1)
	var last *fakeConn
	for _, path := range "abcdef" {
		last = b.start(-1, fmt.Sprintf("GET /%c HTTP/1.1\nHost: a\n\n", path), "", false)
	}
	close(release)
	b.until("the end", func() bool { return last.over })
	if got := strings.Join(order, ""); got != "abcdef" {
		t.Error(got)
	}
}

// Loops share the goroutines and the queue; each exchange stays on its loop.
func TestBlockingTwoLoops(t *testing.T) {
	release := make(chan struct{})
	shared := Config{QueueMax: 1}.Blocking(Func(func(w *Response, r *Request) {
		<-release
		w.Write(r.Path())
	}), 1)
	x, y := attach(t, shared), attach(t, shared)
	cx := x.start(-1, "GET /x HTTP/1.1\nHost: a\n\n", "", false)
	cy := y.start(-1, "GET /y HTTP/1.1\nHost: a\n\n", "", false)
	if _, err := x.tryStart(-1, get11, "", false); err != backend.ErrQueueFull {
		t.Errorf("got %v", err)
	}
	close(release)
	x.until("the end", func() bool { return cx.over })
	y.until("the end", func() bool { return cy.over })
	for path, c := range map[string]*fakeConn{"x": cx, "y": cy} {
		if _, body := c.response("GET"); body != path {
			t.Errorf("%s: got %q", path, body)
		}
	}
	checkIdle(t, shared.(*blocking))
}

func TestBlockingQueueTimeout(t *testing.T) {
	release := make(chan struct{})
	b := attachBlocking(t, Config{QueueTimeout: 3 * time.Second}, Func(func(w *Response, r *Request) { <-release }), 1)
	first := b.start(-1, get11, "", false)
	waits := b.start(-1, get11, "", false)
	b.advance(2 * time.Second)
	late := b.start(-1, get11, "", false)
	if waits.over {
		t.Fatal("too early")
	}
	b.advance(time.Second)
	if waits.outcome() != "failed 503" || waits.retry <= 0 {
		t.Errorf("%s, Retry-After %v", waits.outcome(), waits.retry)
	}
	close(release)
	b.until("the end", func() bool { return first.over && late.over })
	if first.outcome() != "keep" || late.outcome() != "keep" {
		t.Errorf("%s, %s", first.outcome(), late.outcome())
	}
	b.advance(time.Hour)
}

func TestBlockingNoQueue(t *testing.T) {
	release := make(chan struct{})
	b := attachBlocking(t, Config{QueueMax: -1, QueueTimeout: -1}, Func(func(w *Response, r *Request) { <-release }), 1)
	c := b.start(-1, get11, "", false)
	if _, err := b.tryStart(-1, get11, "", false); err != backend.ErrQueueFull {
		t.Errorf("got %v", err)
	}
	close(release)
	b.until("the end", func() bool { return c.over })
}
