package pool

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever a worker writes into shared memory, and without any limit of time that would end an exchange: each is ended once,
// all cells come back, and when the worker is gone the pool is as good as new.
func TestScribbleSeeds(t *testing.T) {
	setCorruptGrace(t)
	old := beginSpan
	beginSpan = 200 * time.Millisecond
	t.Cleanup(func() { beginSpan = old })
	first := rand.IntN(1<<30) + 1
	t.Logf("seeds from %d on", first)
	r := start(t, setup{loops: 2, in: 64, out: 64, options: [][3]any{
		{0, "min_fork", 3}, {0, "fork_error_delay", 0.005}, {0, "fork_delay", 0.005}, {0, "queue_timeout", 2}}})
	r.ready(3)
	for seed := first; seed < first+24; seed++ {
		var qs []*request
		qs = append(qs, r.send(&request{method: "POST", target: fmt.Sprintf("scribble?%d", seed)}))
		for i := range 20 {
			qs = append(qs,
				r.sendOn(i%2, &request{target: "big?300"}),
				r.sendOn(i%2, &request{target: fmt.Sprintf("hello?%d.%d", seed, i)}),
				r.sendOn(i%2, &request{method: "POST", target: "echo", rest: make([]byte, 200)}))
		}
		for i, q := range qs {
			if got := q.wait(); got.calls != 1 {
				t.Errorf("seed %d: %d: %s: %+v", seed, i, q.target, got)
			}
		}
	}
	eventually(t, "all workers replaced and cells free", func() bool { return r.p.inFlight.Load() == 0 })
	for i := range 20 {
		eventually(t, "served again", func() bool { return r.sendOn(i%2, &request{target: "hello?x"}).wait().out == "hello x" })
	}
	for i := range 200 {
		nonce := fmt.Sprint("after", i)
		wantOut(t, r.sendOn(i%2, &request{target: "hello?" + nonce}).wait(), "hello "+nonce)
	}
	r.quiet()
}
