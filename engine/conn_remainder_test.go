package engine

import (
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// completes ends the exchange for the connection, and goes on.
func (h *scriptedHandler) completes(end backend.End) {
	h.d.t.Helper()
	h.x.Complete(h, end)
	h.d.settle()
}

// finishes is answers for a handler that goes on.
func (h *scriptedHandler) finishes(body string) {
	h.d.t.Helper()
	if text := response(body); h.outputs(text, true) != len(text) {
		h.d.t.Fatal("the last output was not taken whole")
	}
	h.completes(backend.EndKeep)
}

// wantsRemainders checks how many handlers the connection remembers.
func (d *dialogue) wantsRemainders(n int) {
	d.t.Helper()
	have := 0
	for r := d.l.remainders[d.c]; r != nil; r = r.next {
		have++
	}
	if have != n || d.c.remains != (n > 0) || len(d.l.remainders) > 0 != (n > 0) {
		d.t.Fatalf("%d remainders in %d lists, %v; want %d", have, len(d.l.remainders), d.c.remains, n)
	}
}

func (h *scriptedHandler) wantsCancelled(n int) {
	h.d.t.Helper()
	if h.cancelled != n {
		h.d.t.Fatalf("cancelled %d times, want %d", h.cancelled, n)
	}
}

// A response that is complete leaves the connection to the next request, whatever its handler does.
func TestRemainder(t *testing.T) {
	d := newDialogue(t, Limits{Overlap: -1})
	first, second := d.handler, &scriptedHandler{d: d}
	d.peer.says(get("/one") + get("/two"))
	first.gets("GET /one")
	first.finishes("first")
	d.peer.hears(200, "first")
	first.gets("GET /two") // pipelined
	first.answers("second")
	d.peer.hears(200, "second")
	d.is(stateIdle)
	d.wantsRemainders(1)
	first.wantsCancelled(0)

	d.service.backend = second
	d.peer.says(get("/three"))
	second.gets("GET /three")
	second.finishes("third")
	d.peer.hears(200, "third")
	d.wantsRemainders(2)
	d.c.Left(first)
	d.wantsRemainders(1)
	d.c.Left(second)
	d.wantsRemainders(0)
	d.c.Left(second) // it knows nothing of it
	d.peer.finishes("")
	d.peer.wantsClosed()
	first.wantsCancelled(0)
	second.wantsCancelled(0)
}

// A response that ends its connection ends it at once.
func TestRemainderCloses(t *testing.T) {
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", get("/")} {
		d := newDialogue(t, Limits{})
		d.peer.says(request)
		if request == get("/") { // the handler wants it
			d.handler.outputs(response("last"), true)
			d.handler.completes(backend.EndClose)
		} else {
			d.handler.finishes("last")
		}
		d.peer.hears(200, "last")
		d.peer.hearsEnd()
		d.handler.wantsCancelled(0)
		d.peer.finishes("")
		d.peer.wantsClosed()
		d.handler.wantsCancelled(1)
		d.wantsRemainders(0)
	}
}

// The end of the connection, in whatever way, is the end of writing for all handlers.
func TestRemainderOfGoneConnection(t *testing.T) {
	for _, c := range []struct {
		name     string
		end      func(d *dialogue)
		handlers int
	}{
		{"FIN", func(d *dialogue) { d.peer.finishes("") }, 1},
		{"reset", func(d *dialogue) { d.peer.vanishes() }, 1},
		{"idle", func(d *dialogue) { d.passes(time.Minute); d.peer.finishes("") }, 1},
		{"stop", func(d *dialogue) { d.l.resetAll() }, 1},
		{"another response cannot be written", func(d *dialogue) {
			d.peer.says(get("/again"))
			d.peer.gone = true
			d.handler.finishes("lost")
		}, 2},
		{"during another request", func(d *dialogue) { d.peer.says(get("/again")); d.peer.vanishes() }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{IdleTimeout: 30 * time.Second})
			d.peer.says(get("/"))
			d.handler.finishes("response")
			d.peer.hears(200, "response")
			c.end(d)
			d.is(stateClosed)
			d.handler.wantsCancelled(c.handlers)
			d.wantsRemainders(0)
		})
	}
}

// A handler that writes for longer than response_timeout is told that no client is there. The connection is not concerned.
func TestRemainderTimeout(t *testing.T) {
	d := newDialogue(t, Limits{ResponseTimeout: 10 * time.Second, IdleTimeout: time.Minute})
	d.peer.says(get("/one"))
	d.passes(4 * time.Second)
	d.handler.finishes("first")
	d.peer.hears(200, "first")
	d.actsAfter(6*time.Second, stateIdle, func() bool { return d.handler.cancelled > 0 })
	d.wantsRemainders(0)
	d.peer.says(get("/two"))
	d.handler.answers("second")
	d.peer.hears(200, "second")
	d.handler.wantsCancelled(1)

	d = newDialogue(t, Limits{ResponseTimeout: -1, IdleTimeout: -1})
	d.peer.says(get("/"))
	d.handler.finishes("response")
	d.passes(1000 * time.Hour)
	d.handler.wantsCancelled(0)
	d.wantsRemainders(1)
}

// The rest of a body is thrown away after a response that does not wait for it.
func TestRemainderOfUpload(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.handler.window = 200_000
	d.peer.says(upload)
	d.peer.says(strings.Repeat("x", 50_000))
	d.handler.finishes("enough")
	d.peer.hears(200, "enough")
	d.is(stateDiscarding)
	got := len(d.handler.body)
	d.peer.says(strings.Repeat("x", 50_000))
	if len(d.handler.body) != got || d.handler.complete {
		t.Errorf("the handler got %d bytes more", len(d.handler.body)-got)
	}
	d.is(stateIdle)
	d.peer.finishes("")
	d.peer.wantsClosed()
	d.handler.wantsCancelled(1)
}

// The log has one line for the exchange, when its response is out. The time of its handler ends there.
func TestRemainderInAccessLog(t *testing.T) {
	var lines []Access
	d := newLoggedDialogue(t, Limits{}, func(a *Access) { lines = append(lines, *a) })
	d.peer.says(get("/"))
	d.handler.queue, d.handler.ran = time.Second, 2*time.Second
	d.handler.finishes("response")
	if len(lines) != 1 || lines[0].Status != 200 || !lines[0].Complete || lines[0].Queue != time.Second || lines[0].Service != 2*time.Second {
		t.Fatalf("%+v", lines)
	}
	d.passes(time.Second)
	d.c.Left(d.handler)
	d.peer.finishes("")
	if len(lines) != 1 {
		t.Errorf("%+v", lines)
	}
}
