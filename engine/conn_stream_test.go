package engine

import (
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// A stream may send so little that only the system can notice that its peer is gone.
func TestStreamBreaks(t *testing.T) {
	for _, c := range []struct {
		limit time.Duration
		want  uint64
	}{{0, 60_000}, {5 * time.Second, 5000}, {-1, 0}} {
		d, h := newRuns(t, Limits{StallTimeout: c.limit}, nil)
		d.peer.says(gets(2))
		if d.peer.breakMS != 0 {
			t.Error("it is set before there is a stream")
		}
		// The second response waits for the first.
		for i := range 2 {
			d.peer.breakMS = 0
			backend.BeginStream(h.all[1-i].x, h.all[1-i])
			if d.peer.breakMS != c.want {
				t.Errorf("limit %v: breaks after %d ms, want %d", c.limit, d.peer.breakMS, c.want)
			}
		}
		h.answers(0, 1)
		d.settle()
	}
}

// What a peer has not taken becomes less when it acknowledges bytes, long before its socket has room, and when the socket takes more.
func TestStreamPending(t *testing.T) {
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(gets(2))
	first, second := h.all[0].x, h.all[1].x
	backend.BeginStream(first, h.all[0])
	d.peer.room, d.peer.unacknowledged = 10, 1_000_000
	text := strings.Repeat("x", 1000)
	if n := first.Output([]byte(text), nil, false); n != len(text) {
		t.Fatalf("%d bytes were taken", n)
	}
	before := backend.PendingOf(first)
	for _, c := range []struct {
		what  string
		step  func()
		falls bool
	}{
		{"nothing", func() {}, false},
		{"a byte is acknowledged", func() { d.peer.unacknowledged-- }, true},
		{"the socket takes more", func() { d.peer.takes(100) }, true},
		{"it is not known", func() { d.peer.unacknowledged = -1 }, false},
	} {
		c.step()
		now := backend.PendingOf(first)
		if now < before != c.falls {
			t.Errorf("%s: %d after %d", c.what, now, before)
		}
		before = now
	}
	// The second response waits for the first.
	second.Output([]byte("ab"), nil, false)
	if n := backend.PendingOf(second); n != 2 {
		t.Errorf("of a response that waits for another: %d, want 2", n)
	}
	d.peer.room = 1 << 20
	d.peer.takes(1 << 20)
	h.answers(0, 1)
	d.settle()
}

// A response may become a stream when it waits for room in the spool. It has no time limit then, and learns of the end of the peer.
func TestStreamWaitsForTheSpool(t *testing.T) {
	d, h := newRuns(t, Limits{OutputBytes: 40_000, SpoolOutput: 1 << 30, ResponseTimeout: time.Minute, StallTimeout: -1}, nil)
	d.e.spool = newSpooling(Spool{Dir: t.TempDir(), Bytes: 400_000}, 20)
	d.peer.room = 0
	d.peer.says(gets(2))
	h.all[1].outputs(pattern(60_000))
	h.all[0].outputs(response(pattern(190_000)))
	h.all[0].x.Done(backend.EndKeep)
	d.peer.finishes("")
	if !h.all[1].x.(*pipelined).late || h.all[1].peerEnds != 1 {
		t.Fatalf("it does not wait; told %d times", h.all[1].peerEnds)
	}
	backend.BeginStream(h.all[1].x, h.all[1])
	d.settle()
	if h.all[1].peerEnds != 2 {
		t.Errorf("the stream was told %d times", h.all[1].peerEnds-1)
	}
	d.passes(time.Hour)
	d.is(stateDispatched)
	h.cancelled()
}
