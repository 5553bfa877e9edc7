package pool

import (
	"testing"
	"time"

	"moonbridge/handler/shm"
)

// A worker takes an exchange and writes that it still waits, after the connection has gone. The cell comes back when
// queue_timeout is over, and no connection is called.
func TestQueueTimeoutWithoutConnection(t *testing.T) {
	s := newStill(t, 1, [3]any{0, "queue_timeout", 1})
	x := &plain{}
	r, err := s.l.Start(x, testHead(), 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	c := s.claim(0)
	r.Cancel()
	out, _ := s.l.p.mem.OutCell(c.Loop, c.Cell)
	out.Owner.Store(shm.Owner(c.Gen, shm.WhoQueued))
	s.turn(500 * time.Millisecond)
	if n := len(s.l.cells.inUse); n != 1 {
		t.Errorf("%d cells in use before queue_timeout, want 1", n)
	}
	s.turn(500 * time.Millisecond)
	if n := len(s.l.cells.inUse); n != 0 || *x != (plain{}) {
		t.Errorf("%d cells in use after queue_timeout, the connection was called: %+v", n, *x)
	}
}
