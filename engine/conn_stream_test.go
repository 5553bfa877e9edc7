package engine

import (
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// A stream may send so little that only the system can notice that its peer is gone.
func TestStreamBreaks(t *testing.T) {
	for _, c := range []struct {
		limit time.Duration
		want  uint64
	}{{0, 60_000}, {5 * time.Second, 5000}, {-1, 0}} {
		d, h := newRuns(t, Limits{StallTimeout: c.limit}, nil)
		d.peer.says(gets(2))
		if d.peer.breakMS != 0 {
			t.Error("it is set before there is a stream")
		}
		// The second response waits for the first.
		for i := range 2 {
			d.peer.breakMS = 0
			backend.BeginStream(h.all[1-i].x, h.all[1-i])
			if d.peer.breakMS != c.want {
				t.Errorf("limit %v: breaks after %d ms, want %d", c.limit, d.peer.breakMS, c.want)
			}
		}
		h.answers(0, 1)
		d.settle()
	}
}
