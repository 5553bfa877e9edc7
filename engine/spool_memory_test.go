package engine

import (
	"math/rand/v2"
	"testing"

	"moonbridge/handler/backend"
)

// What the system has forgotten of a spooled response is read by a goroutine. Until then the loop does not touch the file, and the connection
// waits, with something in its output.
func TestSpooledNotInMemory(t *testing.T) {
	for _, room := range []int{0, 1000, anyRoom} {
		d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30}, 0)
		d.peer.says(get("/"))
		d.peer.room = 0
		text := pattern(3*aheadBytes + 5)
		d.handler.outputs(text, true)
		d.handler.ends(backend.EndKeep)
		d.spoolInMemory = aheadBytes / 2
		d.peer.takes(room)
		reads := 0
		for i := 0; d.c.state != stateIdle && i < 20; i++ {
			if d.settle(); len(d.reads) > 0 {
				got := len(d.peer.got)
				if d.peer.takes(anyRoom); len(d.peer.got) != got || d.c.output.Len() == 0 {
					t.Errorf("%d bytes are sent while the file is being read; %d in memory", len(d.peer.got)-got, d.c.output.Len())
				}
			}
			reads += d.readsFiles()
			d.peer.takes(600_000)
		}
		d.is(stateIdle)
		d.peer.hearsText(text)
		if reads < 3 || reads > 6 {
			t.Errorf("%d reads", reads)
		}
	}
}

// The connection ends while a goroutine reads: the file is closed when it has done so, and not before. Nor is it forgotten if the loop has
// ended too.
func TestSpooledReadDropped(t *testing.T) {
	for _, over := range []bool{false, true} {
		d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30}, 0)
		d.peer.says(get("/"))
		d.peer.room = 0
		d.handler.outputs(pattern(500_000), true)
		d.handler.ends(backend.EndKeep)
		d.spoolInMemory = 0
		d.peer.takes(10)
		if len(d.reads) != 1 {
			t.Fatalf("%d reads", len(d.reads))
		}
		d.peer.vanishes()
		d.is(stateClosed)
		if use := d.e.Spool(); use.Files != 1 {
			t.Errorf("during the read: %+v", use)
		}
		d.over = over
		if d.readsFiles() != 1 || d.e.Spool().Files != 0 {
			t.Errorf("left: %+v, the loop has ended: %v", d.e.Spool(), over)
		}
	}
}

// The system forgets the file, or parts of it, at any time.
func TestSpooledMemoryModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		d, _ := newSpoolDialogue(t, Limits{SpoolOutput: 1 << 30, OutputBytes: r.Int64N(100_000) - 1}, 0)
		text := pattern(200_000 + r.IntN(3_000_000))
		d.peer.says(get("/"))
		d.peer.room = r.IntN(100_000)
		for taken := 0; taken < len(text); {
			n := min(1+r.IntN(65536), len(text)-taken)
			taken += d.handler.outputs(text[taken:taken+n], taken+n == len(text))
			d.spoolInMemory = r.Int64N(int64(len(text)))
			if r.IntN(3) == 0 {
				d.peer.takes(r.IntN(200_000))
			}
			if r.IntN(3) == 0 {
				d.readsFiles()
			}
		}
		d.handler.ends(backend.EndKeep)
		for step := 0; d.c.state != stateIdle && step < 1000; step++ {
			d.spoolInMemory = r.Int64N(int64(len(text)))
			d.peer.takes(r.IntN(500_000))
			d.readsFiles()
		}
		d.is(stateIdle)
		if string(d.peer.got) != text {
			t.Fatalf("seed %d: %d bytes arrived of %d, or other ones", seed, len(d.peer.got), len(text))
		}
	}
}
