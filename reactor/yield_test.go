package reactor

import (
	"runtime"
	"testing"
	"time"
)

// A busy loop yields once in yieldEvery, and no more often.
func TestYield(t *testing.T) {
	if !batchesKnown {
		t.Skip("the poller of this system yields itself")
	}
	var yields []time.Time
	goYield = func() { yields = append(yields, time.Now()) }
	defer func() { goYield = runtime.Gosched }()

	t.Run("loop", func(t *testing.T) {
		l := startLoop(t, Options{})
		done := make(chan struct{})
		turns, begun := 0, time.Now()
		var turn func()
		turn = func() {
			if turns++; len(yields) > 3 && turns > 1000 || time.Since(begun) > patience/2 {
				close(done)
				return
			}
			l.Post(turn)
		}
		l.Post(turn)
		wait(t, done, "a yield after some turns")
	})
	if len(yields) <= 3 {
		t.Errorf("%d yields", len(yields))
	}
	for i := 2; i < len(yields); i++ {
		// A yield comes some time after its turn has begun.
		if apart := yields[i].Sub(yields[i-2]); apart < time.Duration(yieldEvery) {
			t.Errorf("three yields within %v", apart)
		}
	}
}
