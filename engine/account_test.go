package engine

import (
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// countedBackend notes what the heads of requests say.
type countedBackend struct {
	*testBackend
	heads chan httpparse.Head
}

func (b countedBackend) Attach(on backend.Loop) (backend.LoopBackend, error) {
	l, err := b.testBackend.Attach(on)
	return countedLoop{l, b.heads}, err
}

type countedLoop struct {
	backend.LoopBackend
	heads chan httpparse.Head
}

func (l countedLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	l.heads <- *h
	return l.LoopBackend.Start(x, h, listener, body, more)
}

// AccessBrief leaves out what only a log needs, ids among it, and keeps what those who count need.
func TestAccessBrief(t *testing.T) {
	type entry struct {
		account          any
		id, method, path int
		status           int
		bytes            int64
		negative         bool
	}
	entries, heads := make(chan entry, 10), make(chan httpparse.Head, 10)
	account := new(int)
	o := Options{AccessBrief: true, AccessLog: func(a *Access) {
		entries <- entry{a.Account, len(a.ID), len(a.Method), len(a.Target), a.Status, a.Bytes, a.Total < 0 || a.Queue > a.Total || !a.Complete}
	}}
	_, addr := start(t, o, Limits{Account: account, BodyBytes: 100}, countedBackend{&testBackend{window: 64}, heads})
	for _, c := range []struct {
		say    string
		status int
		bytes  int64
	}{
		{"GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-ID: of-the-peer\r\n\r\n", 200, 5},
		{get("/hello"), 200, 5},
		{"GET / HTTP/3.0\r\n\r\n", 505, 27},
		{get("/hello") + get("/hello"), 200, 5},
	} {
		p := dial(t, addr)
		p.say(c.say)
		for range strings.Count(c.say, "GET") {
			p.hears(c.status)
			got := waitFor(t, entries, "entry")
			if want := (entry{account: account, status: c.status, bytes: c.bytes}); got != want {
				t.Errorf("%q: %+v, want %+v", c.say, got, want)
			}
			if c.status != 200 {
				continue
			}
			if h := waitFor(t, heads, "head"); !h.Counted || !h.Timed() || h.ID != nil {
				t.Errorf("%q: %+v", c.say, h)
			}
		}
	}
}

// Turns are measured without a function that is called for long ones.
func TestMeasureTurns(t *testing.T) {
	e := startEngine(t, Options{Loops: 1, MeasureTurns: true})
	onLoop(t, e.Loop(0), func() { time.Sleep(2 * time.Millisecond) })
	onLoop(t, e.Loop(0), func() {})
	s := e.Stats()[0]
	long, all := uint64(0), uint64(0)
	for i, n := range s.Turns.Count {
		all += n
		if i > 10 { // above a millisecond
			long += n
		}
	}
	if long == 0 || all < 2 || s.Turns.Total < 2*time.Millisecond || s.LongestTurn < 2*time.Millisecond {
		t.Errorf("%+v", s)
	}
	if none := startEngine(t, Options{Loops: 1}).Stats()[0]; none.LongestTurn != 0 || none.Turns.Total != 0 {
		t.Errorf("measured without being asked: %+v", none)
	}
}

// What is refused is counted by its cause.
func TestRefusalCounts(t *testing.T) {
	e, addr := start(t, Options{}, Limits{BodyBytes: 10}, &testBackend{window: 64})
	for range 3 {
		p := dial(t, addr)
		p.say("GET / HTTP/3.0\r\n\r\n")
		p.hears(505)
	}
	p := dial(t, addr)
	p.say(post("/echo", "more than ten bytes"))
	p.hears(413)
	got := map[int]uint64{}
	for event, n := range e.Refusals() {
		if event.Cause == "" || event.Message == "" {
			t.Errorf("%+v", event)
		}
		got[event.Status] += n
	}
	if len(got) != 2 || got[505] != 3 || got[413] != 1 {
		t.Errorf("%v", got)
	}
}

// A backend may say anything of how long a counted request has waited: it has not waited for longer than it took. With traces that are not
// recorded, too.
func TestCountedQueueIsBounded(t *testing.T) {
	for _, traces := range []bool{false, true} {
		var got []Access
		d := newLoggedDialogue(t, Limits{}, func(a *Access) { got = append(got, *a) })
		d.e.accessBrief, d.e.counts = true, true
		if !traces {
			d.l.turn = func() int64 { return 1 + int64(d.now) }
			d.l.clock = d.l.turn
		}
		d.peer.says(get("/a"))
		d.passes(3 * time.Second)
		d.handler.queue, d.handler.ran = 1000*time.Hour, -1
		d.handler.answers("hello")
		if len(got) != 1 || got[0].Queue != 3*time.Second || got[0].Total != 3*time.Second {
			t.Errorf("traces: %v: %+v", traces, got)
		}
	}
}
