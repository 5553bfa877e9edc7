package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// When the peer takes nothing, the connection takes the whole response, and holds little of it in memory.
func TestSpooledResponse(t *testing.T) {
	const size, ahead = 2 << 20, 16 << 10
	for name, part := range map[string]int{"windows": 65536, "odd parts": 4093, "at once": size} {
		t.Run(name, func(t *testing.T) {
			d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30, Overlap: -1}, 0)
			d.peer.says(get("/") + get("/next"))
			d.handler.gets("GET /")
			d.peer.room = 0
			text := response(pattern(size))
			for rest := text; len(rest) > 0; {
				n := min(part, len(rest))
				if taken := d.handler.outputs(rest[:n], n == len(rest)); taken != n {
					t.Fatalf("%d bytes taken of %d", taken, n)
				}
				rest = rest[n:]
			}
			d.handler.ends(backend.EndKeep)
			d.is(stateWriting)
			if n := d.c.output.Len(); n > ahead {
				t.Errorf("%d bytes in memory, want at most %d", n, ahead)
			}
			if use := d.e.Spool(); use.Files != 1 || use.Bytes != int64(len(text)-d.c.output.Len()) {
				t.Errorf("%+v for a response of %d bytes", use, len(text))
			}
			for range 7 {
				d.peer.takes(100_001)
			}
			if use := d.e.Spool(); use.Bytes > size {
				t.Errorf("%d bytes in the spool", use.Bytes)
			}
			d.peer.takes(anyRoom)
			d.peer.hears(200, pattern(size))
			d.handler.gets("GET /next")
			if use := d.e.Spool(); use.Files != 0 || use.Bytes != 0 {
				t.Errorf("left: %+v", use)
			}
			d.handler.answers("hello")
			d.peer.hears(200, "hello")
		})
	}
}

// The space of sent bytes is freed while the response goes on, so that a stream may be longer than its limit.
func TestSpooledStream(t *testing.T) {
	const limit = 4 << 20
	d, _ := newSpoolDialogue(t, Limits{SpoolOutput: limit}, 0)
	d.peer.says(get("/"))
	d.peer.room = 0
	part := pattern(100_000)
	for i := range 300 {
		if n := d.handler.outputs(part, false); n != len(part) {
			t.Fatalf("%d bytes taken of part %d, with %d in the spool", n, i, d.e.Spool().Bytes)
		}
		if i >= 20 {
			d.peer.takes(len(part))
		}
	}
	d.handler.ends(backend.EndKeep)
	d.peer.takes(anyRoom)
	if want := strings.Repeat(part, 300); string(d.peer.got) != want {
		t.Errorf("%d bytes arrived of %d, or other ones", len(d.peer.got), len(want))
	}
}

// The limits of a response and of the spool make the backend wait. It goes on when the peer has taken enough.
func TestSpooledResponseIsBounded(t *testing.T) {
	const memory = 128 << 10
	for _, c := range []struct {
		name        string
		limit, all  int64
		held        int // bytes that others have in the spool
		takes       int // bytes that the connection takes, at least
		waited      uint64
		givesBackAt int // the backend goes on when this many bytes are sent
	}{
		{"none", 0, 0, 0, memory, 0, memory / 2},
		{"own limit", 500_000, 0, 0, memory + 500_000, 0, 1<<20 + 100_000},
		{"half of the spool", 1 << 30, 2_000_000, 0, 1_000_000, 1, 1<<20 + 100_000},
		{"half of the spool, with others", 1 << 30, 2_000_000, 600_000, 400_000, 1, 400_000},
		{"spool full", 1 << 30, 2_000_000, 1_500_000, memory, 1, memory / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _ := newSpoolDialogue(t, Limits{SpoolOutput: c.limit}, c.all)
			other, err := d.e.spool.Create()
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if _, err := other.Append(make([]byte, c.held)); err != nil {
				t.Fatal(err)
			}
			d.peer.says(get("/"))
			d.peer.room = 0
			text := pattern(3 << 20)
			taken := 0
			for {
				n := d.handler.outputs(text[taken:taken+50_000], false)
				if taken += n; n < 50_000 {
					break
				}
			}
			if taken < c.takes || taken > c.takes+200_000 {
				t.Errorf("%d bytes taken, want %d", taken, c.takes)
			}
			if got := d.e.Spool().Waited; got != c.waited {
				t.Errorf("waited %d times, want %d", got, c.waited)
			}
			d.peer.takes(c.givesBackAt)
			if d.handler.rooms != 1 {
				t.Errorf("the backend was told of room %d times", d.handler.rooms)
			}
			if n := d.handler.outputs(text[taken:taken+5000], true); n != 5000 {
				t.Errorf("%d bytes of the last part taken", n)
			}
			d.handler.ends(backend.EndClose)
			d.peer.takes(anyRoom)
			if string(d.peer.got) != text[:taken+5000] {
				t.Errorf("%d bytes arrived of %d, or other ones", len(d.peer.got), taken+5000)
			}
		})
	}
}

// A last part that does not fit stays in the backend, and is taken later.
func TestSpooledLastPartWaits(t *testing.T) {
	d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 100_000, OutputBytes: 20_000}, 0)
	d.peer.says(get("/"))
	d.peer.room = 0
	text := pattern(200_000)
	n := d.handler.outputs(text, true)
	if n != 120_000 {
		t.Fatalf("%d bytes taken, want 120,000", n)
	}
	d.peer.takes(anyRoom)
	if d.handler.rooms != 1 || d.handler.outputs(text[n:], true) != len(text)-n {
		t.Error("the rest was not taken")
	}
	d.handler.ends(backend.EndKeep)
	d.peer.hearsText(text)
}

// A file is sent over several turns, so that other connections get theirs.
func TestSpooledWritesPerTurn(t *testing.T) {
	const perTurn, piece = 16, 64 << 10
	d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30}, 0)
	d.peer.says(get("/"))
	d.peer.room = 0
	d.handler.outputs(pattern(4<<20), true)
	d.handler.ends(backend.EndKeep)
	d.peer.room = anyRoom
	d.c.socket.writable = true
	d.c.flush(0)
	if n := len(d.peer.got); n < perTurn*piece || n > (perTurn+1)*piece {
		t.Errorf("%d bytes sent in one turn, want about %d", n, perTurn*piece)
	}
	d.settle()
	d.is(stateIdle)
	d.peer.hearsText(pattern(4 << 20))
}

// The spooled part of a response is discarded with its connection.
func TestSpooledResponseBreaksOff(t *testing.T) {
	for how, end := range map[string]func(*dialogue){
		"peer gone":     func(d *dialogue) { d.peer.vanishes() },
		"write failed":  func(d *dialogue) { d.peer.gone = true; d.peer.takes(0) },
		"reset":         func(d *dialogue) { d.l.resetAll() },
		"stalls":        func(d *dialogue) { d.passes(60 * time.Second) },
		"handler fails": func(d *dialogue) { d.handler.fails(500) },
	} {
		t.Run(how, func(t *testing.T) {
			d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30}, 0)
			d.peer.says(get("/"))
			d.peer.room = 10
			d.handler.outputs(pattern(500_000), false)
			if d.e.Spool().Files != 1 {
				t.Fatal("nothing is in the spool")
			}
			end(d)
			d.is(stateClosed)
			if use := d.e.Spool(); use.Files != 0 || use.Bytes != 0 {
				t.Errorf("left: %+v", use)
			}
		})
	}
}

// A spooled response that cannot be read ends within a call of the backend. The backend is told later.
func TestSpooledResponseLost(t *testing.T) {
	d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30}, 0)
	d.peer.says(get("/"))
	d.peer.room = 0
	d.handler.outputs(pattern(500_000), false)
	if err := unix.Ftruncate(d.c.spool.output.Fd(), 0); err != nil {
		t.Fatal(err)
	}
	d.peer.room, d.c.socket.writable = anyRoom, true
	outputsFile(d.handler.x, d.newFile(pattern(1000)), 0, 1000, true)
	d.is(stateDispatched)
	d.settle()
	d.is(stateClosed)
	d.peer.wantsReset()
}

// Random parts, limits and peers: the bytes that arrive are those that were taken, in order.
func TestSpooledOutputModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		lim := Limits{OutputBytes: r.Int64N(100_000) - 1, SpoolOutput: 1 + r.Int64N(3_000_000)}
		d, _ := newSpoolDialogue(t, lim, 1+r.Int64N(8_000_000))
		text := pattern(200_000 + r.IntN(4_000_000))
		d.peer.says(get("/"))
		d.peer.room = r.IntN(100_000)
		rooms, blocked := 0, false
		for taken, step := 0, 0; taken < len(text); step++ {
			if step == 100_000 {
				t.Fatalf("seed %d: no end, limits %+v", seed, lim)
			}
			blocked = blocked && rooms == d.handler.rooms
			if rooms = d.handler.rooms; !blocked {
				n := min(1+r.IntN(65536), len(text)-taken)
				last := taken+n == len(text)
				got := d.handler.outputs(text[taken:taken+n], last)
				taken += got
				blocked = got < n
			}
			if r.IntN(3) == 0 || blocked {
				d.peer.takes(r.IntN(200_000))
			}
		}
		d.handler.ends(backend.EndKeep)
		d.peer.takes(anyRoom)
		d.is(stateIdle)
		if string(d.peer.got) != text {
			t.Fatalf("seed %d: %d bytes arrived of %d, or other ones; limits %+v", seed, len(d.peer.got), len(text), lim)
		}
		if use := d.e.Spool(); use.Bytes != 0 || use.Files != 0 {
			t.Fatalf("seed %d: left: %+v", seed, use)
		}
	}
}

// A peer that takes output too slowly for its socket to have room has made progress all the same.
func TestSlowReaderLives(t *testing.T) {
	for _, state := range []connState{stateDispatched, stateWriting} {
		t.Run(fmt.Sprint(state), func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.peer.says(get("/"))
			d.peer.room, d.peer.unacknowledged = 10, 1_000_000
			d.handler.outputs(pattern(50_000), state == stateWriting)
			if state == stateWriting {
				d.handler.ends(backend.EndKeep)
			}
			for range 20 {
				d.passes(59 * time.Second)
				d.peer.unacknowledged--
				d.passes(time.Second)
				d.is(state)
			}
			// The last acknowledgement was noticed now. From here on there is none.
			d.actsAfter(60*time.Second, state, d.peer.wasReset)
		})
	}
	t.Run("unknown", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.room, d.peer.unacknowledged = 10, -1
		d.handler.outputs(pattern(50_000), false)
		d.actsAfter(60*time.Second, stateDispatched, d.peer.wasReset)
	})
	t.Run("response timeout", func(t *testing.T) {
		d := newDialogue(t, Limits{ResponseTimeout: 90 * time.Second})
		d.peer.says(get("/"))
		d.peer.room, d.peer.unacknowledged = 10, 1_000_000
		d.handler.outputs(pattern(50_000), false)
		d.passes(59 * time.Second)
		d.peer.unacknowledged--
		d.actsAfter(31*time.Second, stateDispatched, d.peer.wasReset)
	})
}
