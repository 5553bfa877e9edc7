package engine

import "testing"

// A stream that has ended in the ordinary way serves the next request of any connection, and nothing of it is left in there.
func TestH2StreamsAreUsedAgain(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	spare := func() (list []*h2Stream) {
		onLoop(t, e.Loop(0), func() { list = append(list, e.loops[0].h2.spare...) })
		return list
	}
	a, b := dialH2(t, addr), dialH2(t, addr)
	a.post(1, "/echo", "content-length", "4")
	a.WriteData(1, true, []byte("body"))
	a.wants(1, "200", "body")
	eventually(t, "the stream has ended", func() bool { return len(spare()) == 1 })
	first := spare()[0]
	for id := uint32(1); id < 21; id += 2 {
		b.get(id, "/hello")
		b.wants(id, "200", "*")
		eventually(t, "the stream has ended", func() bool { return len(spare()) == 1 })
	}
	if spare()[0] != first {
		t.Error("it was not used again")
	}
	for id := uint32(21); id < 27; id += 2 { // several at once, as long as their responses wait
		b.get(id, "/slow")
	}
	a.get(3, "/hello")
	a.wants(3, "200", "*")
	b.WriteRSTStream(21, 8)
	b.get(27, "/hello")
	b.wants(27, "200", "*")
}
