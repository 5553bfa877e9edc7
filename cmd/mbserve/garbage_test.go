package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int64{0: 800, 1 << 20: 800, 4 << 20: 400, 8 << 20: 200, 16 << 20: 100, 1 << 30: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", live, got, want)
		}
	}
}

// Collections are rare while little memory is in use, and as usual while much is. The environment decides if it says something.
func TestTuneCollector(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "100")
	if c := tuneCollector(); c != nil {
		t.Error("GOGC is ignored")
	}
	t.Setenv("GOGC", "")
	c := tuneCollector()
	defer c.end()
	large := make([]byte, 8*garbageMin)
	eventually(t, "it is as usual", func() bool { runtime.GC(); return c.percent.Load() == percentDefault })
	runtime.KeepAlive(large)
	large = nil
	eventually(t, "it is rarer", func() bool { runtime.GC(); return c.percent.Load() > percentDefault })
}

// What a burst has left, too little for a collection, is collected when the burst is over.
func TestCollectorGivesBack(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	large := make([]byte, 8*garbageMin)
	c := tuneCollector()
	defer c.end()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	collections := m.NumGC
	for range 4 * garbageMin / len(garbage) {
		garbage = make([]byte, len(garbage))
	}
	eventually(t, "it is collected", func() bool { runtime.ReadMemStats(&m); return m.NumGC > collections })
	runtime.KeepAlive(large)
}

// While much is allocated all the time, nothing is collected out of turn, which would cost more than the garbage: a collection between two
// looks is no sign that it is quiet.
func TestCollectorLeavesBusyAlone(t *testing.T) {
	large := make([]byte, 8*garbageMin)                          // so that there is no collection but those that are asked for
	c := &collector{looks: time.AfterFunc(time.Hour, func() {})} // it looks only when it is told to, however slow this machine is
	defer c.looks.Stop()
	forced := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
	for _, n := range []int{6 * giveBackMin, 2 * giveBackMin} {
		runtime.GC()
		for range n / len(garbage) {
			garbage = make([]byte, len(garbage))
		}
		metrics.Read(forced)
		before := forced[0].Value.Uint64()
		c.look()
		if metrics.Read(forced); forced[0].Value.Uint64() != before {
			t.Errorf("collected after %d bytes", n)
		}
	}
	runtime.KeepAlive(large)
}

var garbage = make([]byte, 64<<10)
