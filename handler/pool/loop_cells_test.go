package pool

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen/listentest"
	"moonbridge/handler/shm"
)

// A pool that is full of requests still has a cell for a tick of each interval.
func TestCellsForTicks(t *testing.T) {
	const (
		timers = 3 * spareCells
		limit  = 5 + 2 // queue_limit and max_fork
	)
	options := [][3]any{{0, "queue_limit", 5}, {0, "max_fork", 2}}
	for i := range timers {
		n := 2 + i
		options = append(options, [3]any{n, "proto", "interval"}, [3]any{n, "delay", 1}, [3]any{n, "name", fmt.Sprint(n)},
			[3]any{n, "connect", listentest.Func{}})
	}
	for _, c := range []struct {
		name  string
		limit int64 // of the pool
		taken int   // requests that it then takes
	}{
		{"by the limit of the pool", limit, limit},
		// However many exchanges the pool believes to be in progress, a loop keeps its last cells for ticks.
		{"by the loop", 1 << 30, limit + spareCells},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStill(t, 1, options...)
			s.l.p.limit = c.limit
			taken, err := 0, error(nil)
			for ; err == nil; taken++ {
				if free := len(s.l.cells.free); free <= timers && taken > c.taken {
					t.Fatalf("%d cells are left for the ticks of %d intervals, want one for each", free, timers)
				}
				_, err = s.l.Start(&plain{}, testHead(), 0, nil, false)
			}
			if taken--; taken != c.taken || !errors.Is(err, backend.ErrQueueFull) {
				t.Errorf("%d requests taken, want %d, then %v", taken, c.taken, err)
			}
			s.turn(time.Second)
			ticks := 0
			for _, c := range s.l.cells.inUse {
				if c.kind == shm.KindInterval {
					ticks++
				}
			}
			if ticks != timers {
				t.Errorf("%d of %d ticks were taken beside %d requests", ticks, timers, taken)
			}
		})
	}
}
