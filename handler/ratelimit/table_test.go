package ratelimit

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

const second = int64(time.Second)

func TestTake(t *testing.T) {
	table := NewTable()
	a := netip.MustParseAddr("192.0.2.1")
	now := int64(5 * second)
	take := func(a netip.Addr, want int64) {
		t.Helper()
		if got := table.take(addressed(a), now, second/2, 3*second/2); got != want {
			t.Errorf("at %v: wait %v, want %v", time.Duration(now), time.Duration(got), time.Duration(want))
		}
	}
	for range 3 { // the burst
		take(a, 0)
	}
	take(a, second/2)
	take(netip.MustParseAddr("192.0.2.2"), 0)
	now += second / 4
	take(a, second/4)
	take(a, second/4) // a refused one is not counted
	now += second / 4
	take(a, 0)
	take(a, second/2)
	now += 100 * second
	for range 3 {
		take(a, 0)
	}
	take(a, second/2)
	now -= second / 8 // the clock of a loop whose turn began earlier
	take(a, second/2)
}

// A client has one rate, whatever addresses it takes of its network.
func TestClients(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"::1", "::2", true},
	} {
		if got := addressed(netip.MustParseAddr(c.a)) == addressed(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

// However many clients there are, the table stays as it is, and a client that sends too much is not forgotten.
func TestTableIsBounded(t *testing.T) {
	table := NewTable()
	busy := netip.MustParseAddr("192.0.2.1")
	const burst = 10
	for range burst {
		table.take(addressed(busy), second, second, burst*second)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 4 * sets * setEntries {
		var b [16]byte
		binary.NativeEndian.PutUint64(b[:], r.Uint64())
		table.take(addressed(netip.AddrFrom16(b)), second, second, burst*second)
	}
	if table.take(addressed(busy), second, second, burst*second) == 0 {
		t.Error("it was forgotten")
	}
}

func TestTakeAllocates(t *testing.T) {
	table := NewTable()
	a := netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { table.take(addressed(a), 1, 1, 10) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	table := NewTable()
	a := netip.MustParseAddr("192.0.2.1")
	for i := range b.N {
		table.take(addressed(a), int64(i)*second, second, 10*second)
	}
}
