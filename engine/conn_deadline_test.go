package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

const upload = "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"

// Every timeout ends in exactly its millisecond: the default, and a chosen one. None never ends.
func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*Limits, time.Duration)
		byDef time.Duration // the default, as docs/ARCHITECTURE.md has it
		begin func(*dialogue)
		state connState
		acted func(*dialogue) bool
		ends  func(*dialogue)
	}{
		{
			"idle", func(l *Limits, d time.Duration) { l.IdleTimeout = d }, 65 * time.Second,
			func(d *dialogue) {},
			stateIdle,
			func(d *dialogue) bool { return d.peer.sawFIN },
			func(d *dialogue) { d.peer.hearsEnd() },
		},
		{
			"idle after a request", func(l *Limits, d time.Duration) { l.IdleTimeout = d }, 65 * time.Second,
			func(d *dialogue) {
				d.passes(2 * time.Second)
				d.peer.says(get("/"))
				d.passes(2 * time.Second)
				d.handler.answers("hello")
				d.peer.hears(200, "hello")
			},
			stateIdle,
			func(d *dialogue) bool { return d.peer.sawFIN },
			func(d *dialogue) { d.peer.hearsEnd() },
		},
		{
			"head", func(l *Limits, d time.Duration) { l.HeadTimeout = d }, 120 * time.Second,
			func(d *dialogue) { d.peer.says("GET / HT") },
			stateHead,
			func(d *dialogue) bool { return d.peer.sawFIN },
			func(d *dialogue) { d.peer.hears(408, ""); d.peer.hearsEnd() },
		},
		{
			"stall of a small body", func(l *Limits, d time.Duration) { l.StallTimeout = d }, 60 * time.Second,
			func(d *dialogue) { d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf") },
			stateBody,
			func(d *dialogue) bool { return d.peer.sawFIN },
			func(d *dialogue) { d.peer.hears(408, ""); d.peer.hearsEnd(); d.handler.getsNothing() },
		},
		{
			"stall of a body while a handler runs", func(l *Limits, d time.Duration) { l.StallTimeout = d }, 60 * time.Second,
			func(d *dialogue) { d.handler.window = 1000; d.peer.says(upload + "half") },
			stateDispatched,
			func(d *dialogue) bool { return d.handler.aborts != "" },
			func(d *dialogue) {
				d.is(stateDispatched)
				d.handler.fails(400)
				d.peer.hears(400, "")
				d.peer.hearsEnd()
			},
		},
		{
			"stall of a response while a handler runs", func(l *Limits, d time.Duration) { l.StallTimeout = d }, 60 * time.Second,
			func(d *dialogue) {
				d.peer.says(get("/"))
				d.peer.room = 10
				d.handler.outputs(response("hello")[:20], false)
			},
			stateDispatched,
			func(d *dialogue) bool { return d.peer.wasReset() && d.handler.cancelled == 1 },
			func(d *dialogue) { d.is(stateClosed) },
		},
		{
			"stall of a complete response", func(l *Limits, d time.Duration) { l.StallTimeout = d }, 60 * time.Second,
			func(d *dialogue) {
				d.peer.says(get("/"))
				d.peer.room = 10
				d.handler.answers("hello")
			},
			stateWriting,
			func(d *dialogue) bool { return d.peer.wasReset() },
			func(d *dialogue) { d.is(stateClosed) },
		},
		{
			"response", func(l *Limits, d time.Duration) { l.ResponseTimeout = d }, 3600 * time.Second,
			func(d *dialogue) { d.peer.says(get("/")) },
			stateDispatched,
			func(d *dialogue) bool { return d.peer.wasReset() && d.handler.cancelled == 1 },
			func(d *dialogue) { d.is(stateClosed) },
		},
		{
			"drain", func(l *Limits, d time.Duration) { l.DrainTimeout = d }, 2 * time.Second,
			func(d *dialogue) {
				d.peer.says("nonsense\r\n\r\n")
				d.peer.hears(400, "")
			},
			stateLingering,
			func(d *dialogue) bool { return d.peer.closed },
			func(d *dialogue) { d.peer.wantsClosed() },
		},
	} {
		for _, chosen := range []time.Duration{0, 3210 * time.Millisecond} {
			t.Run(fmt.Sprint(c.name, ", ", chosen), func(t *testing.T) {
				var lim Limits
				want := c.byDef
				if chosen != 0 {
					c.set(&lim, chosen)
					want = chosen
				}
				d := newDialogue(t, lim)
				c.begin(d)
				d.actsAfter(want, c.state, func() bool { return c.acted(d) })
				c.ends(d)
			})
		}
		t.Run(c.name+", none", func(t *testing.T) {
			// All timeouts are off, since another one would act otherwise.
			d := newDialogue(t, Limits{IdleTimeout: -1, HeadTimeout: -1, StallTimeout: -1, ResponseTimeout: -1, DrainTimeout: -1})
			c.begin(d)
			if c.state == stateLingering {
				d.peer.wantsClosed() // without a drain timeout there is no wait
				return
			}
			d.passes(10_000 * time.Hour)
			if c.acted(d) {
				t.Error("acted without a timeout")
			}
			d.is(c.state)
		})
	}
}

// A timeout that is not a whole number of milliseconds is rounded up.
func TestTimeoutsAreRoundedUp(t *testing.T) {
	d := newDialogue(t, Limits{IdleTimeout: 5*time.Millisecond + 1})
	d.actsAfter(6*time.Millisecond, stateIdle, func() bool { return d.peer.sawFIN })
}

// The head timeout is for the whole head. Bytes that arrive do not extend it.
func TestHeadTimeoutIsNotExtended(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says("GET / HTTP/1.1\r\n")
	for range 11 {
		d.passes(10 * time.Second)
		d.peer.says("A: b\r\n")
	}
	d.actsAfter(10*time.Second, stateHead, func() bool { return d.peer.sawFIN })
	d.peer.hears(408, "")
}

// The stall timeout starts again with every byte of a body. The response timeout does not.
func TestSlowBody(t *testing.T) {
	for _, c := range []struct {
		name, head string
		state      connState
		acted      func(*dialogue) bool
	}{
		{"small", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n", stateBody, func(d *dialogue) bool { return d.peer.sawFIN }},
		{"large", upload, stateDispatched, func(d *dialogue) bool { return d.peer.wasReset() }},
		{"chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n", stateDispatched, func(d *dialogue) bool { return d.peer.wasReset() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.handler.window = 1 << 20
			d.peer.says(c.head)
			for range 71 { // 3550 s
				d.passes(50 * time.Second)
				d.peer.says("x")
			}
			d.is(c.state)
			d.actsAfter(50*time.Second, c.state, func() bool { return c.acted(d) })
		})
	}
}

// While the window is full, or the peer waits for 100 Continue, it is not the peer's turn. Only the response timeout runs.
func TestStallIsThePeers(t *testing.T) {
	t.Run("window full", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.handler.window = 10
		d.peer.says(upload)
		d.peer.says(strings.Repeat("x", 20))
		d.passes(3000 * time.Second)
		if d.handler.aborts != "" || len(d.peer.unread) != 10 {
			t.Errorf("abort %q, %d bytes not read, want none and 10", d.handler.aborts, len(d.peer.unread))
		}
		d.handler.hasRoom(1000)
		if got := len(d.handler.body); got != 20 {
			t.Errorf("the handler has %d bytes of the body, want 20", got)
		}
		d.actsAfter(60*time.Second, stateDispatched, func() bool { return d.handler.aborts == "incomplete" })
	})
	t.Run("100 Continue", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.handler.window = 1000
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
		d.handler.gets("POST / ...")
		d.passes(3000 * time.Second)
		d.handler.x.BodyWanted()
		d.peer.hearsText("HTTP/1.1 100 Continue\r\n\r\n")
		d.actsAfter(60*time.Second, stateDispatched, func() bool { return d.handler.aborts == "incomplete" })
	})
}

// A peer that takes nothing has stalled, even if the handler keeps adding output. One that takes a byte has not.
func TestStallBesideOutput(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.peer.room = 10
	for range 5 {
		d.handler.outputs("0123456789 and more", false)
		d.passes(10 * time.Second)
	}
	d.peer.takes(1)
	for range 5 {
		d.handler.outputs("more", false)
		d.passes(10 * time.Second)
	}
	d.actsAfter(10*time.Second, stateDispatched, func() bool { return d.peer.wasReset() })
}

// A handler that has its body may take until the response timeout, even if the peer closes its side meanwhile or cuts the body
// short.
func TestHandlerMayBeSlow(t *testing.T) {
	for _, c := range []struct {
		name, says string
		finishes   bool
	}{
		{"no body", get("/"), false},
		{"no body, FIN", get("/"), true},
		{"whole body", post("/", strings.Repeat("x", 100_000)), false},
		{"half a body, FIN", upload + "half", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.handler.window = 1 << 20
			d.peer.says(c.says)
			if c.finishes {
				d.peer.finishes("")
			}
			d.passes(3599 * time.Second)
			d.handler.answers("slow")
			d.peer.hears(200, "slow")
		})
	}
}

// The response timeout of a request ends with it, and does not cut off the engine's answer to a later one.
func TestResponseTimeoutEndsWithItsRequest(t *testing.T) {
	d := newDialogue(t, Limits{IdleTimeout: -1})
	d.peer.says(get("/"))
	d.handler.answers("hello")
	d.peer.hears(200, "hello")
	d.passes(2 * time.Hour)
	d.peer.room = 10
	d.peer.says("nonsense\r\n\r\n")
	d.actsAfter(60*time.Second, stateWriting, func() bool { return d.peer.wasReset() })
}

// A connection that is to end, although its peer was told that it is persistent, waits for a last request: a second, or the idle
// timeout if that is shorter.
func TestLastRequest(t *testing.T) {
	for _, c := range []struct {
		idle, want time.Duration
	}{{0, time.Second}, {-1, time.Second}, {300 * time.Millisecond, 300 * time.Millisecond}, {time.Hour, time.Second}} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprint(c.idle, " ", busy), func(t *testing.T) {
				d := newDialogue(t, Limits{IdleTimeout: c.idle})
				if busy {
					d.peer.says(get("/"))
				}
				d.passes(100 * time.Millisecond)
				d.e.stopping.Store(true)
				d.l.drain(true)
				if busy {
					d.passes(100 * time.Second)
					d.handler.answers("hello")
					d.peer.hears(200, "hello")
				}
				d.actsAfter(c.want, stateIdle, func() bool { return d.peer.sawFIN })
				d.peer.hearsEnd()
			})
		}
	}
}

// Deadlines are lazy: requests that follow one another do not touch the wheel.
func TestRequestsLeaveTheWheelAlone(t *testing.T) {
	d := newDialogue(t, Limits{})
	exchange := func() {
		d.peer.says(get("/"))
		d.handler.outputs(response("hello"), true)
		d.handler.ends(backend.EndKeep)
		d.peer.hears(200, "hello")
	}
	exchange()
	before := d.sets
	for range 1000 {
		exchange()
		d.passes(time.Millisecond)
	}
	if n := d.sets - before; n != 0 {
		t.Errorf("the timer was set %d times in 1000 exchanges", n)
	}
	d.actsAfter(65*time.Second-time.Millisecond, stateIdle, func() bool { return d.peer.sawFIN })
}

// A peer that takes a response slowly has not stalled, if nothing of it is held here either.
func TestSlowReaderOfWhatIsNotHeld(t *testing.T) {
	d := newDialogue(t, Limits{OutputBytes: -1})
	d.peer.says(get("/"))
	d.peer.room, d.peer.unacknowledged = 10, 1_000_000
	if n := d.handler.outputs(response(pattern(1000)), false); n != 10 {
		t.Fatalf("%d bytes were taken", n)
	}
	for range 20 {
		d.passes(59 * time.Second)
		d.peer.unacknowledged--
		d.passes(time.Second)
		d.is(stateDispatched)
	}
	d.actsAfter(60*time.Second, stateDispatched, d.peer.wasReset)
}
