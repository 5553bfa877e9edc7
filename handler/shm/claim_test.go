package shm_test

import (
	"testing"

	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
)

// A worker takes the exchange that has waited longest, whatever loop it waits on.
func TestClaimOrder(t *testing.T) {
	for _, o := range shmtest.ClaimOrders {
		t.Run(o.Name, func(t *testing.T) {
			m := testMemory(t, shm.Geometry{Loops: o.Loops, Workers: 1, Cells: len(o.Waits), InWindow: 64, OutWindow: 64})
			var queues []*shm.Queue
			for l := range o.Loops {
				queues = append(queues, m.Queue(l))
			}
			for i, e := range o.Waits {
				in, _ := m.InCell(e.Loop, i)
				in.Published.Store(1000 * e.Published)
				queues[e.Loop].Push(i)
			}
			m.InWorker(0).Home.Store(o.Home)
			w := shmtest.Of(m).Worker(0)
			var got []int
			for c, ok := w.Claim(); ok; c, ok = w.Claim() {
				if c.Loop != o.Waits[c.Cell].Loop {
					t.Fatalf("exchange %d was taken from loop %d", c.Cell, c.Loop)
				}
				got = append(got, c.Cell)
			}
			if len(got) != len(o.Waits) {
				t.Fatalf("%v were taken of %d", got, len(o.Waits))
			}
			if wrong := o.Check(got); wrong != "" {
				t.Errorf("%s: %v", wrong, got)
			}
		})
	}
}
