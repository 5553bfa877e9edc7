package handler

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	post10   = "POST /p HTTP/1.1\nHost: a\nContent-Length: 10\n\n"
	postMany = "POST /p HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
)

// checkIdle waits until b serves nothing, and its queue is empty.
func checkIdle(t *testing.T, b *blocking) {
	t.Helper()
	limit := time.Now().Add(patience)
	for {
		b.mu.Lock()
		running, queued := b.running, b.queue.Len()
		b.mu.Unlock()
		if running == 0 && queued == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines, %d in the queue", running, queued)
		}
		runtime.Gosched()
	}
}

func attachBlocking(t *testing.T, c Config, h Handler, limit int) *fakeBackend {
	b := c.Blocking(h, limit).(*blocking)
	t.Cleanup(func() { checkIdle(t, b) })
	return attach(t, b)
}

// A slow peer takes a large response in pieces of various sizes; the handler has to wait.
func TestBlockingSlowPeer(t *testing.T) {
	const size, part = 10000, 64
	body := make([]byte, size)
	for i := range body {
		body[i] = byte('a' + i%26)
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for _, head := range []string{get11, get10} {
		var written atomic.Int64
		b := attachBlocking(t, Config{PartMax: part}, Func(func(w *Response, r *Request) {
			for rest := body; len(rest) > 0; {
				n := min(len(rest), 1+int(written.Load())%100)
				if _, err := w.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
				written.Add(int64(n))
			}
		}), 0)
		c := b.start(0, head, "", false)
		for !c.over {
			before := len(c.out)
			c.take(1 + random.IntN(2*part))
			if int(written.Load()) > len(c.out)+3*part {
				t.Fatalf("seed %d: the handler has written %d bytes, the peer has %d", seed, written.Load(), len(c.out))
			}
			if len(c.out) == before && !c.over {
				b.until("more output", func() bool { return len(c.out) > before || c.over })
			}
		}
		if _, got := c.response("GET"); got != string(body) {
			t.Errorf("seed %d: the body is not what was written", seed)
		}
	}
}

// An ordinary response does not occupy a goroutine until the peer has taken it.
func TestBlockingLeavesBeforeThePeer(t *testing.T) {
	b := attachBlocking(t, Config{}, hello, 1)
	var slow []*fakeConn
	for range 10 {
		slow = append(slow, b.start(0, get11, "", false))
	}
	b.until("output of all", func() bool {
		for _, c := range slow {
			if c.offers == 0 {
				return false
			}
		}
		return true
	})
	for _, c := range slow {
		c.take(1 << 20)
		if _, body := c.response("GET"); body != "hello" || c.outcome() != "keep" {
			t.Errorf("%s %q", c.outcome(), c.out)
		}
	}
}

func TestBlockingCancel(t *testing.T) {
	type step = chan struct{}
	for _, phase := range []struct {
		name string
		// serve runs until the exchange is cancelled, and returns the error it got.
		serve func(w *Response, r *Request, at step) error
		takes int
		head  string
	}{
		{"waits for the context", func(w *Response, r *Request, at step) error {
			ctx := r.Context()
			close(at)
			<-ctx.Done()
			_, err := w.Write([]byte("x"))
			if ferr := w.Flush(); err == nil {
				err = ferr
			}
			return err
		}, -1, get11},
		{"asks for the context late", func(w *Response, r *Request, at step) error {
			close(at)
			for w.Flush() == nil {
				if _, err := w.Write([]byte("x")); err != nil {
					break
				}
			}
			<-r.Context().Done()
			return w.Flush()
		}, -1, get11},
		{"reads", func(w *Response, r *Request, at step) error {
			close(at)
			_, err := io.ReadAll(r)
			return err
		}, -1, post10},
		{"writes", func(w *Response, r *Request, at step) error {
			close(at)
			for {
				if _, err := w.Write(make([]byte, 100)); err != nil {
					return err
				}
			}
		}, 5, get11},
		{"flushes", func(w *Response, r *Request, at step) error {
			close(at)
			for {
				w.WriteString("x")
				if err := w.Flush(); err != nil {
					return err
				}
			}
		}, 5, get11},
		{"sends interim responses", func(w *Response, r *Request, at step) error {
			close(at)
			for {
				if err := w.Interim(103); err != nil {
					return err
				}
			}
		}, 5, get11},
	} {
		t.Run(phase.name, func(t *testing.T) {
			at := make(step)
			heard := make(chan error, 1)
			b := attachBlocking(t, Config{PartMax: 10}, Func(func(w *Response, r *Request) { heard <- phase.serve(w, r, at) }), 0)
			c := b.start(phase.takes, phase.head, "", phase.head == post10)
			<-at
			b.turn(nil)
			b.turn(c.cancel)
			select {
			case err := <-heard:
				if err != ErrGone {
					t.Errorf("the handler got %v", err)
				}
			case <-time.After(patience):
				t.Fatal("the handler was not told")
			}
			checkIdle(t, b.lb.(*blockingBackend).b)
			b.turn(nil) // no call is allowed
		})
	}
	t.Run("waits in the queue", func(t *testing.T) {
		release := make(step)
		var served atomic.Int32
		b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) { served.Add(1); <-release }), 1)
		first := b.start(-1, get11, "", false)
		second := b.start(-1, get11, "", false)
		third := b.start(-1, get11, "", false)
		b.turn(second.cancel)
		close(release)
		b.until("the others", func() bool { return first.over && third.over })
		if served.Load() != 2 || third.outcome() != "keep" {
			t.Errorf("%d served", served.Load())
		}
		b.advance(time.Hour)
	})
	t.Run("the handler has returned", func(t *testing.T) {
		b := attachBlocking(t, Config{}, hello, 0)
		c := b.start(10, get11, "", false)
		b.until("output", func() bool { return c.offers > 0 })
		checkIdle(t, b.lb.(*blockingBackend).b)
		b.turn(c.cancel)
		b.turn(func() { c.running.OutputRoom() })
	})
	t.Run("within Output", func(t *testing.T) {
		b := attachBlocking(t, Config{}, hello, 0)
		c := &fakeConn{t: t, l: b.fakeLoop, takes: -1, hook: (*fakeConn).cancel}
		b.turn(func() { b.startIn(c, get11, "", false) })
		b.until("the end", func() bool { return c.over })
		if c.outcome() != "cancelled" {
			t.Error(c.outcome())
		}
	})
}

func TestBlockingFailures(t *testing.T) {
	abort := http.ErrAbortHandler
	for _, c := range []struct {
		name  string
		h     Func
		lines int
		words []string
		want  string
	}{
		{"panic", func(w *Response, r *Request) { w.WriteString("x"); panic("the cause") }, 1, []string{"the cause", "blocking_test.go", "GET"}, "failed 500"},
		{"panic with nil", func(w *Response, r *Request) { panic(nil) }, 1, []string{"panic called with nil"}, "failed 500"},
		{"panic after the head", func(w *Response, r *Request) { w.Flush(); panic("the cause") }, 1, []string{"the cause"}, "reset"},
		{"abort", func(w *Response, r *Request) { panic(abort) }, 0, nil, "reset"},
		{"abort after the head", func(w *Response, r *Request) { w.Flush(); panic(abort) }, 0, nil, "reset"},
		{"panic after a full part", func(w *Response, r *Request) { w.Write(make([]byte, 33<<10)); panic("the cause") }, 1, []string{"the cause"}, "reset"},
		{"goexit", func(w *Response, r *Request) { runtime.Goexit() }, 0, nil, "failed 500"},
		{"short", func(w *Response, r *Request) { w.Set("Content-Length", "3"); w.WriteString("ab") }, 1, []string{causeShort}, "failed 500"},
		{"short after the head", func(w *Response, r *Request) { w.Set("Content-Length", "3"); w.Flush(); w.WriteString("ab") }, 1, []string{causeShort}, "reset"},
		{"panic with an interim response on its way", func(w *Response, r *Request) { w.Interim(103); panic("x") }, 1, nil, "failed 500"},
		{"abort with an interim response on its way", func(w *Response, r *Request) { w.Interim(103); panic(abort) }, 0, nil, "reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logLines
			b := attachBlocking(t, Config{Logger: slog.New(&log)}, Func(func(w *Response, r *Request) {
				if r.head.Minor == 1 {
					c.h(w, r)
				}
			}), 1)
			x := b.start(-1, get11, "", false)
			checkIdle(t, b.lb.(*blockingBackend).b) // before the loop has run a turn
			b.until("the end", func() bool { return x.over })
			if x.outcome() != c.want {
				t.Errorf("%s, want %s: %q", x.outcome(), c.want, x.text())
			}
			log.expect(t, c.lines, c.words...)
			if y := b.exchange(get10, ""); y.text() != "HTTP/1.1 200 OK\nDate: D\nContent-Length: 0\nConnection: close\n\n" {
				t.Errorf("the next exchange: %q", y.text())
			}
		})
	}
}

// The outcome of a failure depends on what was passed on: if that is only an interim response, the engine answers after it.
func TestBlockingFailureAfterInterim(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\n\n"
	for _, c := range []struct {
		name    string
		request string
		flush   bool // the head is handed over too
		first   int  // bytes that the peer takes before the handler fails
		outcome string
		text    string
	}{
		{"interim taken", get11, false, 28, "failed 500", hints},
		{"interim taken in part", get11, false, 7, "failed 500", hints},
		{"head taken in part", get11, true, 29, "reset", hints + "H"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fail := make(chan struct{})
			b := attachBlocking(t, Config{Logger: slog.New(slog.DiscardHandler)}, Func(func(w *Response, r *Request) {
				w.Interim(103)
				if c.flush {
					w.Flush()
				}
				<-fail
				panic("the cause")
			}), 0)
			x := b.start(c.first, c.request, "", false)
			b.until("output", func() bool { return len(x.out) == c.first })
			close(fail)
			checkIdle(t, b.lb.(*blockingBackend).b)
			b.turn(nil)
			for !x.over {
				x.take(5)
			}
			if x.text() != c.text || x.outcome() != c.outcome {
				t.Errorf("%s %q", x.outcome(), x.text())
			}
		})
	}
}

// The context ends with Serve, so that no work continues for an exchange that is over.
func TestBlockingContextEndsWithServe(t *testing.T) {
	contexts := make(chan context.Context, 1)
	b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
		if r.Context().Err() != nil {
			t.Error("done from the beginning")
		}
		contexts <- r.Context()
	}), 0)
	b.exchange(get11, "")
	select {
	case <-(<-contexts).Done():
	case <-time.After(patience):
		t.Error("never done")
	}
}

// Request and response are streamed at the same time.
func TestBlockingFullDuplex(t *testing.T) {
	b := attachBlocking(t, Config{Window: 16, PartMax: 16}, Func(func(w *Response, r *Request) {
		w.Flush()
		if _, err := io.Copy(w, r); err != nil {
			t.Error(err)
		}
	}), 0)
	c := b.start(-1, postMany, "", true)
	b.until("the head", func() bool { return bytes.Contains(c.out, []byte("\r\n\r\n")) })
	var sent []byte
	for i := range 200 {
		some := fmt.Appendf(nil, "%d,", i)
		sent = append(sent, some...)
		c.send(some)
	}
	b.turn(func() { c.running.BodyEnd() })
	b.until("the end", func() bool { return c.over })
	if _, body := c.response("POST"); body != string(sent) {
		t.Errorf("got %q", body)
	}
}

// Many exchanges run at once on one loop, with random sizes and splits. Each gets its own bytes back.
func TestBlockingMany(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	b := attachBlocking(t, Config{Window: 64, PartMax: 50, QueueMax: 1000}, Func(func(w *Response, r *Request) {
		if random := len(r.Field("flush")); random > 0 {
			w.Flush()
		}
		io.Copy(w, r)
	}), 7)
	type run struct {
		*fakeConn
		body, rest []byte
		ended      bool
	}
	var runs []*run
	for i := range 200 {
		body := bytes.Repeat(fmt.Appendf(nil, "%d ", i), random.IntN(200))
		head := postMany
		if random.IntN(2) == 0 {
			head = strings.Replace(head, "\n\n", "\nFlush: 1\n\n", 1)
		}
		runs = append(runs, &run{b.start(random.IntN(100), head, "", true), body, body, false})
	}
	limit := time.Now().Add(patience)
	for open := len(runs); open > 0; {
		open = 0
		b.turn(func() {
			for _, r := range runs {
				if r.over {
					continue
				}
				open++
				if random.IntN(500) == 0 {
					r.cancel()
					continue
				}
				n := r.sendSome(r.rest[:min(len(r.rest), random.IntN(100))])
				if r.rest = r.rest[n:]; len(r.rest) == 0 && !r.ended {
					r.ended = true
					r.running.BodyEnd()
				}
				r.takes += random.IntN(100)
				r.running.OutputRoom()
			}
		})
		if time.Now().After(limit) {
			t.Fatalf("seed %d: %d exchanges left", seed, open)
		}
		runtime.Gosched()
	}
	for i, r := range runs {
		if r.cancelled {
			continue
		}
		if _, body := r.response("POST"); body != string(r.body) {
			t.Fatalf("seed %d: exchange %d: %d bytes of %d", seed, i, len(body), len(r.body))
		}
	}
}

// BenchmarkBlockingHello alternates between the loop and the goroutine, which is the worst case.
func BenchmarkBlockingHello(b *testing.B) {
	l := newFakeLoop(nil)
	lb, err := Blocking(hello, 0).Attach(l)
	if err != nil {
		b.Fatal(err)
	}
	head := parse(b, get)
	x := new(quietConn)
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		if _, err := lb.Start(x, head, 0, nil, false); err != nil {
			b.Fatal(err)
		}
		for x.done < i {
			<-l.wake
			l.turn(nil)
		}
	}
}
