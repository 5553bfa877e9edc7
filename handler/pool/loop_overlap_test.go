package pool

import (
	"fmt"
	"math"
	"testing"

	"moonbridge/handler/backend"
)

// While all handlers are quick, a connection may have any number of exchanges. Otherwise it gets half of the workers that are not
// busy, and nothing but its turn when the queue is half full.
func TestOverlap(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 7}, {0, "max_fork", 7}, {0, "queue_limit", 9}}})
	r.ready(7)
	overlap := func() (n int) {
		r.loops[0].do(func() { n = r.lbs[0].(backend.Overlapping).Overlap() })
		return n
	}
	if n := overlap(); n != math.MaxInt {
		t.Errorf("%d while nothing is in progress", n)
	}
	var release []func()
	for busy := 1; busy <= 6; busy++ {
		release = append(release, r.occupy())
		want := max(1, (7-busy)/2)
		eventually(t, fmt.Sprintf("%d workers are known to be busy", busy), func() bool { return overlap() == want })
	}
	for _, free := range release {
		free()
	}
	eventually(t, "no worker is busy", func() bool { return overlap() == math.MaxInt })
	var waiting []*request
	for range 9 {
		waiting = append(waiting, r.send(&request{target: "sleep?100"}))
	}
	if n := overlap(); n != 1 && r.p.inFlight.Load() > 8 {
		t.Errorf("%d while the queue is half full", n)
	}
	for _, q := range waiting {
		q.wait()
	}
}
