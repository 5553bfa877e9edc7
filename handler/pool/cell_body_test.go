package pool

import (
	"bytes"
	"testing"

	"moonbridge/handler/shm"
)

// A request that does not fit into the window follows through the spill, byte for byte, and ends with the spill.
func TestBodySpill(t *testing.T) {
	want := []byte("the head block, and a body of some length, which does not fit into the window at once")
	for _, taken := range []uint64{1, 3, 16} {
		b := body{in: new(shm.InCell), out: new(shm.OutCell), window: make([]byte, 16)}
		b.fill(want)
		b.publish()
		if b.end() || b.accepts() {
			t.Fatal("the body ended, or had room for more, before the spill was moved")
		}
		var got []byte
		for len(got) < len(want) {
			x, y := shm.Ring(b.window, b.tail, min(taken, b.head-b.tail))
			if len(x) == 0 {
				t.Fatalf("taking %d at a time: stuck after %q", taken, got)
			}
			got = append(append(got, x...), y...)
			b.out.InTail.Store(uint64(len(got)))
			if !b.readTail() {
				t.Fatal("what the worker took is not believed")
			}
			if len(b.spill) > 0 {
				b.moveSpill()
			}
			if done := b.in.Flags.Load()&shm.InEnd != 0; done != (b.spill == nil) {
				t.Fatalf("end of the body: %v with %d bytes to come", done, len(b.spill))
			}
		}
		if !bytes.Equal(got, want) || b.in.InHead.Load() != uint64(len(want)) || b.wantsRoom() {
			t.Errorf("taking %d at a time: %q, %d bytes in all, want room: %v", taken, got, b.in.InHead.Load(), b.wantsRoom())
		}
	}
}

// The number of bytes that a worker claims to have taken is believed only if it can be true.
func TestBodyTail(t *testing.T) {
	b := body{in: new(shm.InCell), out: new(shm.OutCell), window: make([]byte, 16), head: 10, tail: 4}
	for tail, want := range map[uint64]bool{3: false, 4: true, 10: true, 11: false, 1 << 63: false} {
		b.tail = 4
		b.out.InTail.Store(tail)
		if got := b.readTail(); got != want || b.tail != max(4, min(tail, 10)) && want {
			t.Errorf("%d taken: believed %v, tail %d", tail, got, b.tail)
		}
	}
}

// Amounts of a response, and its place, are believed only if they can be true.
func TestResponseRead(t *testing.T) {
	for _, c := range []struct {
		name        string
		was         response
		start, head uint64
		broken      string
	}{
		{"nothing yet", response{}, 99, 0, ""},
		{"all of the window", response{}, 15, 16, ""},
		{"more than the window", response{}, 0, 17, "amount of output"},
		{"start beyond the window", response{}, 16, 1, "place of the response"},
		{"a message", response{}, shm.OutStartMessage | 15, 16, ""},
		{"a message beyond the window", response{}, shm.OutStartMessage | 16, 1, "place of the response"},
		{"start is read once", response{begun: true, start: 3, published: 1}, 99, 2, ""},
		{"room that was given back", response{begun: true, published: 20, taken: 10}, 0, 26, ""},
		{"room that was not", response{begun: true, published: 20, taken: 10}, 0, 27, "amount of output"},
		{"less than before", response{begun: true, published: 5}, 0, 4, "amount of output"},
	} {
		out, r := new(shm.OutCell), c.was
		r.window = make([]byte, 16)
		out.OutStart.Store(uint32(c.start))
		out.OutHead.Store(c.head)
		got := r.read(out)
		if got != c.broken || got == "" && r.published != c.head {
			t.Errorf("%s: %q, published %d", c.name, got, r.published)
		}
		if message := c.start&shm.OutStartMessage != 0; r.message != message || r.start >= 16 {
			t.Errorf("%s: message %v, at %d", c.name, r.message, r.start)
		}
	}
}
