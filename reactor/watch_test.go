package reactor

import (
	"testing"
	"time"
)

func TestLengthClass(t *testing.T) {
	for _, c := range []struct {
		ns   int64
		want int
	}{
		{-1, 0}, {0, 0}, {1, 0}, {1024, 0}, {1025, 1}, {2048, 1}, {2049, 2}, {int64(time.Hour), TurnLengths - 1},
	} {
		if got := lengthClass(c.ns); got != c.want {
			t.Errorf("%d ns: class %d, want %d", c.ns, got, c.want)
		}
		if got := lengthClass(c.ns); got < TurnLengths-1 && c.ns > int64(TurnLength(got)) {
			t.Errorf("%d ns is above the bound of its class", c.ns)
		}
	}
}

func TestTurns(t *testing.T) {
	var w TurnWatch
	for _, took := range []int64{10, 1500, 3000, 3000} {
		w.begin(100)
		w.end(100 + took)
	}
	got := w.Turns()
	if got.Total != 7510 || got.Count[0] != 1 || got.Count[1] != 1 || got.Count[2] != 2 || w.Longest() != 3000 || w.Started() != 0 {
		t.Errorf("%+v, longest %v", got, w.Longest())
	}
}
