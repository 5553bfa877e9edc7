package handler

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// flushed10 announces 10 bytes and sends them.
func flushed10(w *Response, r *Request) {
	w.Set("Content-Length", "10")
	w.WriteString("0123456789")
	w.Flush()
}

// A response that is complete for the peer ends the exchange for the connection, while the handler goes on.
func TestBlockingComplete(t *testing.T) {
	for _, c := range []struct {
		name  string
		h     Func
		head  string
		takes int
		end   backend.End
	}{
		{"HEAD", func(w *Response, r *Request) { w.WriteString("x"); w.Flush() }, head11, -1, backend.EndKeep},
		{"HEAD, HTTP/1.0", func(w *Response, r *Request) { w.Flush() }, head10, -1, backend.EndClose},
		{"HEAD, a large response", func(w *Response, r *Request) { w.Write(make([]byte, 1000)) }, head11, -1, backend.EndKeep},
		{"204", func(w *Response, r *Request) { w.SetStatus(204); w.Flush() }, get11, -1, backend.EndKeep},
		{"304, closes", func(w *Response, r *Request) { w.SetStatus(304); w.Add("Connection", "close"); w.Flush() }, get11, -1, backend.EndClose},
		{"205", func(w *Response, r *Request) { w.SetStatus(205); w.Flush() }, get11, -1, backend.EndKeep},
		{"length", flushed10, get11, -1, backend.EndKeep},
		{"length, taken slowly", flushed10, get11, 20, backend.EndKeep},
		{"no length left", func(w *Response, r *Request) { w.Set("Content-Length", "0"); w.Flush() }, get11, -1, backend.EndKeep},
		{"after a body", flushed10, post10, -1, backend.EndKeep},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			b := attachBlocking(t, Config{PartMax: 100}, Func(func(w *Response, r *Request) { c.h(w, r); <-release }), 0)
			body := ""
			if c.head == post10 {
				body = "0123456789"
			}
			x := b.start(c.takes, c.head, body, false)
			if c.takes > 0 {
				b.until("output", func() bool { return x.offers > 0 })
				if x.over {
					t.Fatal("over before the peer has everything")
				}
				x.take(1000)
			}
			b.until("the end of the response", func() bool { return x.over })
			if !x.complete || x.end != c.end || x.left {
				t.Errorf("complete %v, end %v, left %v", x.complete, x.end, x.left)
			}
			close(release)
			b.until("the end of the handler", func() bool { return x.left })
		})
	}
}

func TestBlockingNotComplete(t *testing.T) {
	for _, c := range []struct {
		name, head string
		h          Func
		more       bool
	}{
		{"GET", get11, func(w *Response, r *Request) { w.WriteString("x"); w.Flush() }, false},
		{"a part of the length", get11, func(w *Response, r *Request) {
			w.Set("Content-Length", "2")
			w.WriteString("x")
			w.Flush()
			w.WriteString("y")
		}, false},
		{"interim", head11, func(w *Response, r *Request) { w.Interim(103) }, false},
		{"a body to come", post10, func(w *Response, r *Request) { w.SetStatus(204); w.Flush() }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
				c.h(w, r)
				<-release
				io.Copy(io.Discard, r)
			}), 0)
			x := b.start(-1, c.head, "", c.more)
			b.until("output", func() bool { return x.offers > 0 })
			b.turn(nil)
			if x.over {
				t.Fatal("over")
			}
			close(release)
			if c.more {
				x.send([]byte("0123456789"))
				b.turn(x.running.BodyEnd)
			}
			b.until("the end", func() bool { return x.over })
			if !x.done || x.complete {
				t.Errorf("done %v, complete %v", x.done, x.complete)
			}
		})
	}
}

// The connection may end before the handler: whatever that writes then fails, and it hears of it by its context.
func TestBlockingCompleteCancel(t *testing.T) {
	for _, head := range []string{head11, get11} {
		heard := make(chan error, 1)
		b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
			if head == get11 {
				w.SetStatus(204)
			}
			for w.Flush() == nil {
				if head == head11 {
					if _, err := w.WriteString("x"); err != nil {
						break
					}
				}
			}
			<-r.Context().Done()
			heard <- w.Flush()
		}), 0)
		x := b.start(-1, head, "", false)
		b.until("the end of the response", func() bool { return x.complete })
		b.turn(x.cancel)
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
	}
}

// A handler of HEAD that only writes is told, too.
func TestBlockingHeadWrites(t *testing.T) {
	heard := make(chan error, 1)
	b := attachBlocking(t, Config{PartMax: 10}, Func(func(w *Response, r *Request) {
		for {
			if _, err := w.WriteString("0123456789"); err != nil {
				heard <- err
				return
			}
		}
	}), 0)
	x := b.start(-1, head11, "", false)
	b.until("the end of the response", func() bool { return x.complete })
	b.turn(x.cancel)
	if err := <-heard; err != ErrGone {
		t.Errorf("the handler got %v", err)
	}
}

// A failure after the response is logged. The connection does not notice.
func TestBlockingCompleteFails(t *testing.T) {
	for _, released := range []bool{false, true} {
		var log logLines
		release := make(chan struct{})
		b := attachBlocking(t, Config{Logger: slog.New(&log)}, Func(func(w *Response, r *Request) {
			flushed10(w, r)
			<-release
			panic("the cause")
		}), 0)
		if released {
			close(release) // the loop sees both at once
		}
		x := b.start(-1, get11, "", false)
		if released {
			checkIdle(t, b.lb.(*blockingBackend).b)
		}
		b.until("the end of the response", func() bool { return x.over })
		if x.failed != 0 || x.end != backend.EndKeep || x.complete == released || x.done != released {
			t.Errorf("failed %d, end %v, complete %v, done %v", x.failed, x.end, x.complete, x.done)
		}
		if !released {
			close(release)
			b.until("the end of the handler", func() bool { return x.left })
		}
		log.expect(t, 1, "the cause")
	}
}
