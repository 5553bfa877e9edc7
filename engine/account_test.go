package engine

import (
	"testing"
	"time"
)

// AccessBrief leaves out what only a log needs, and keeps what those who count need.
func TestAccessBrief(t *testing.T) {
	type entry struct {
		account      any
		id           string
		method, path int
		status       int
		bytes        int64
	}
	entries := make(chan entry, 10)
	account := new(int)
	o := Options{AccessBrief: true, AccessLog: func(a *Access) {
		entries <- entry{a.Account, string(a.ID), len(a.Method), len(a.Target), a.Status, a.Bytes}
	}}
	_, addr := start(t, o, Limits{Account: account, BodyBytes: 100}, &testBackend{window: 64})
	for _, c := range []struct {
		say, id string
		status  int
		bytes   int64
	}{
		{"GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-ID: of-the-peer\r\n\r\n", "of-the-peer", 200, 5},
		{get("/hello"), "", 200, 5},
		{"GET / HTTP/3.0\r\n\r\n", "", 505, 27},
	} {
		p := dial(t, addr)
		p.say(c.say)
		p.hears(c.status)
		got := waitFor(t, entries, "entry")
		if c.id == "" && len(got.id) > 8 {
			got.id = ""
		}
		if want := (entry{account: account, id: c.id, status: c.status, bytes: c.bytes}); got != want {
			t.Errorf("%q: %+v, want %+v", c.say, got, want)
		}
	}
	p := dial(t, addr)
	p.say(get("/hello") + get("/hello"))
	for range 2 {
		p.hears(200)
		if got := waitFor(t, entries, "entry of a pipelined request"); got.account != account || got.id == "" {
			t.Errorf("pipelined: %+v", got)
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
