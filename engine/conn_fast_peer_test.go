package engine

import (
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// press is a backend.Pressable that says what the test wants.
type press bool

func (p *press) Pressed() bool { return bool(*p) }

// newFastDialogue is a dialogue whose peer has been offered more than its socket takes, and whose handlers are not scarce. taken
// is how much of the response text the connection has taken.
func newFastDialogue(t *testing.T, text string) (d *dialogue, pressed *press, taken int) {
	t.Helper()
	d, _ = newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30, StallTimeout: time.Minute}, 0)
	pressed = new(press)
	d.service.pressable = pressed
	d.peer.says(get("/"))
	d.peer.room, d.peer.unacknowledged = 100_000, 100_000
	taken = d.handler.outputs(text[:200_000], false)
	if taken != 100_000 {
		t.Fatalf("%d bytes taken, want 100,000", taken)
	}
	return d, pressed, taken
}

// spooledFiles is how many files the spool has.
func (d *dialogue) spooledFiles() int { return int(d.e.Spool().Files) }

// While the peer takes the response fast, nothing is spooled: the backend keeps what the socket does not take.
func TestFastPeer(t *testing.T) {
	text := response(pattern(4_000_000))
	d, _, taken := newFastDialogue(t, text)
	for rooms := 0; taken < len(text); rooms++ {
		if d.handler.rooms != rooms {
			t.Fatalf("the backend was told of room %d times, want %d", d.handler.rooms, rooms)
		}
		d.passes(10 * time.Millisecond)
		d.peer.takes(70_000)
		n := d.handler.outputs(text[taken:min(len(text), taken+200_000)], taken+200_000 >= len(text))
		if taken += n; n == 0 || d.spooledFiles() > 0 || d.c.output.Len() > 128<<10 {
			t.Fatalf("%d bytes taken, %d files, %d bytes in memory", n, d.spooledFiles(), d.c.output.Len())
		}
	}
	d.handler.ends(backend.EndKeep)
	d.passes(time.Second)
	d.is(stateWriting) // the peer may take its time for what is left
	d.peer.takes(anyRoom)
	d.peer.hears(200, pattern(4_000_000))
	d.passes(time.Second)
	d.is(stateIdle)
}

// A peer that the kernel does not report to have room has progressed if it has acknowledged enough.
func TestFastPeerAcknowledges(t *testing.T) {
	text := response(pattern(1_000_000))
	d, _, taken := newFastDialogue(t, text)
	d.peer.unacknowledged -= 70_000
	d.actsAfter(40*time.Millisecond, stateDispatched, func() bool { return d.handler.rooms == 1 })
	if n := d.handler.outputs(text[taken:], true); n != len(text)-taken || d.spooledFiles() != 1 {
		t.Fatalf("%d bytes taken of %d, %d files", n, len(text)-taken, d.spooledFiles())
	}
	d.handler.ends(backend.EndClose)
	d.peer.takes(anyRoom)
	d.peer.hears(200, pattern(1_000_000))
}

// A response is spooled when its peer has not taken enough for 20 ms, or when its handler is needed. From then on it stays so.
func TestFastPeerNoMore(t *testing.T) {
	text := response(pattern(1_000_000))
	for how, end := range map[string]func(*dialogue, *press){
		"slow":    func(d *dialogue, _ *press) {},
		"unknown": func(d *dialogue, _ *press) { d.peer.unacknowledged = -1 },
		"pressed": func(d *dialogue, p *press) { d.peer.unacknowledged = 0; *p = true },
	} {
		t.Run(how, func(t *testing.T) {
			d, pressed, taken := newFastDialogue(t, text)
			end(d, pressed)
			d.actsAfter(20*time.Millisecond, stateDispatched, func() bool { return d.handler.rooms == 1 })
			*pressed = false
			for _, last := range []bool{false, true} {
				end := min(len(text), taken+400_000)
				if last {
					end = len(text)
				}
				if n := d.handler.outputs(text[taken:end], last); n != end-taken || d.spooledFiles() != 1 {
					t.Fatalf("%d bytes taken of %d, %d files", n, end-taken, d.spooledFiles())
				}
				taken = end
			}
			d.handler.ends(backend.EndKeep)
			d.is(stateWriting)
			d.peer.takes(anyRoom)
			d.peer.hears(200, pattern(1_000_000))
			d.is(stateIdle)
		})
	}
}

// A handler that is needed does not wait at all, and a part that fits into memory never makes one wait.
func TestNoWaitForPeer(t *testing.T) {
	for name, c := range map[string]struct {
		pressed     bool
		part, files int
		last        bool
	}{
		"pressed":          {true, 300_000, 1, false},
		"pressed, last":    {true, 300_000, 1, true},
		"small part":       {false, 10_000, 0, false},
		"last in memory":   {false, 100_000, 0, true},
		"pressed, in room": {true, 100_000, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30}, 0)
			pressed := press(c.pressed)
			d.service.pressable = &pressed
			d.peer.says(get("/"))
			d.peer.room = 0
			if n := d.handler.outputs(pattern(c.part), c.last); n != c.part || d.spooledFiles() != c.files {
				t.Fatalf("%d bytes taken of %d, %d files, want %d", n, c.part, d.spooledFiles(), c.files)
			}
			d.handler.ends(backend.EndClose)
			d.peer.takes(anyRoom)
		})
	}
}

// The end of an interval is no stall: a connection that has nothing to wait for any more, or has its whole response, lives on.
func TestFastPeerIsNoStall(t *testing.T) {
	text := response(pattern(400_000))
	d, _, taken := newFastDialogue(t, text)
	d.passes(15 * time.Millisecond)
	d.peer.takes(250_000)
	taken += d.handler.outputs(text[taken:350_000], false) // everything offered is taken
	d.passes(time.Second)
	d.is(stateDispatched)
	taken += d.handler.outputs(text[taken:], true) // a new interval does not begin: it fits into memory
	if taken != len(text) {
		t.Fatalf("%d bytes taken of %d", taken, len(text))
	}
	d.handler.ends(backend.EndKeep)
	d.passes(59 * time.Second)
	d.is(stateWriting)
	d.actsAfter(time.Second, stateWriting, d.peer.wasReset)
}

// The response timeout ends the wait for a fast peer like any other.
func TestFastPeerAndResponseTimeout(t *testing.T) {
	d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30, ResponseTimeout: 10 * time.Millisecond}, 0)
	d.service.pressable = new(press)
	d.peer.says(get("/"))
	d.peer.room = 0
	d.handler.outputs(pattern(300_000), false)
	d.actsAfter(10*time.Millisecond, stateDispatched, d.peer.wasReset)
}
