package engine

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// Stats count connections, requests of all kinds, and what connections hold.
func TestStats(t *testing.T) {
	e, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	raw := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream { return &calls{t: t} }), backend.Bounds{})
	p := dial(t, addr)
	p.say(get("/hello") + get("/hello") + get("/hello")) // pipelined
	for range 3 {
		p.hears(200)
	}
	p.say(post("/echo", "body"))
	p.hears(200)
	r := dial(t, raw.Addr())
	r.say("not discarded")
	var got LoopStats
	eventually(t, "both connections are there", func() bool {
		got = e.Stats()[0]
		return got.Conns == 1 && got.Idle == 1 && got.Raw == 1 && got.Buffers == 1
	})
	want := LoopStats{Conns: 1, Idle: 1, Raw: 1, Accepted: 2, Requests: 4, Buffers: 1}
	want.BytesRead = uint64(len(get("/hello")+get("/hello")+get("/hello")+post("/echo", "body")) + len("not discarded"))
	want.BytesWritten = got.BytesWritten // see TestSendFile and TestSpliceThroughPipe
	if got != want || got.BytesWritten == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	onLoop(t, e.Loop(0), func() {
		if e.Stats() != nil {
			t.Error("figures on a loop")
		}
	})
	onLoop(t, e.Loop(0), e.loops[0].raw.conns.First().Reset)
	p.Close()
}

// A turn that takes too long is reported once, with the place.
func TestStalled(t *testing.T) {
	type report struct {
		loop  int
		turn  time.Duration
		stack string
	}
	reports := make(chan report, 10)
	e := startEngine(t, Options{Loops: 2, StallAfter: 20 * time.Millisecond, Stalled: func(loop int, turn time.Duration, stack []byte) {
		reports <- report{loop, turn, string(stack)}
	}})
	var seen report
	onLoop(t, e.Loop(1), func() { seen = blocksTheLoop(t, reports) })
	if seen.loop != 1 || seen.turn < 20*time.Millisecond || !strings.Contains(seen.stack, "blocksTheLoop") {
		t.Errorf("%d, %v, %s", seen.loop, seen.turn, seen.stack)
	}
	longest := e.Stats()[1].LongestTurn
	if longest < seen.turn {
		t.Errorf("the longest turn took %v, a turn of %v was reported", longest, seen.turn)
	}
	for range 100 {
		onLoop(t, e.Loop(1), func() {})
	}
}

// blocksTheLoop waits until it is noticed.
func blocksTheLoop[R any](t *testing.T, reports <-chan R) R { return waitFor(t, reports, "report") }

// With Options.Check a view that is kept too long shows bytes that were never there.
func TestCheck(t *testing.T) {
	for _, check := range []bool{false, true} {
		kept := make(chan []byte, 1)
		e := startEngine(t, Options{Loops: 1, Check: check})
		ln := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
			return &calls{t: t, data: func(c backend.Conn) {
				if view := c.Unread(); len(view) > 0 {
					c.Discard(len(view))
					kept <- view
				}
				if c.Ended() {
					c.Close()
				}
			}}
		}), backend.Bounds{})
		p := dial(t, ln.Addr())
		p.say("secret")
		view := waitFor(t, kept, "view")
		var now []byte
		onLoop(t, e.Loop(0), func() { now = bytes.Clone(view) })
		if stale := string(now) != "secret"; stale != check {
			t.Errorf("with Check %v, a view that was kept is %q", check, now)
		}
		p.CloseWrite()
		p.hearsEnd()
	}
}
