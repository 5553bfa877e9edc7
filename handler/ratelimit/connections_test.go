package ratelimit

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

func connections(t *testing.T, o ConnOptions) *Connections {
	t.Helper()
	c, err := NewConnections(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConnections(t *testing.T) {
	proxy := netip.MustParseAddr("192.0.2.9")
	c := connections(t, ConnOptions{Rate: 2, Burst: 3, Exempt: func(a netip.Addr) bool { return a == proxy }})
	now := 5 * second
	admits := func(a string, want bool) {
		t.Helper()
		if got := c.Admit(netip.MustParseAddr(a), now); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
	for i := range 5 {
		admits("2001:db8::1", i < 3)
	}
	admits("2001:db8::2", false) // of the same /64
	admits("192.0.2.1", true)
	for range 10 {
		admits("192.0.2.9", true) // exempt
		if !c.Admit(netip.Addr{}, now) {
			t.Error("a Unix socket is limited")
		}
	}
	now += second / 2
	admits("2001:db8::1", true)
	admits("2001:db8::1", false)
	other := connections(t, ConnOptions{Rate: 2, Burst: 3, Table: c.Table()})
	if other.Admit(netip.MustParseAddr("2001:db8::1"), now) {
		t.Error("the table is not the same")
	}
	if _, err := NewConnections(ConnOptions{Rate: 1}); err == nil {
		t.Error("no burst, and no error")
	}
}

// A connection that was ended for abuse costs more, but a client never waits for longer than a burst takes.
func TestConnectionsAbused(t *testing.T) {
	proxy, a := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.1")
	c := connections(t, ConnOptions{Rate: 1, Burst: 25, Exempt: func(a netip.Addr) bool { return a == proxy }})
	now := 5 * second
	for range 100 {
		c.Abused(proxy, now)
		c.Abused(netip.Addr{}, now)
	}
	if !c.Admit(proxy, now) || !c.Admit(a, now) {
		t.Error("others are refused")
	}
	c.Abused(a, now)
	for i := range 20 {
		if got := c.Admit(a, now); got != (i < 25-1-AbuseCost) {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	for range 100 {
		c.Abused(a, now)
	}
	now += second - 1
	if c.Admit(a, now) {
		t.Error("it is admitted at once")
	}
	now++
	if !c.Admit(a, now) {
		t.Error("it waits for longer than a burst takes")
	}
}

// However many addresses connect, one that connects too often is not forgotten.
func TestConnectionsTableFull(t *testing.T) {
	c := connections(t, ConnOptions{Rate: 1, Burst: 10})
	busy := netip.MustParseAddr("192.0.2.1")
	c.Abused(busy, second)
	r := rand.New(rand.NewPCG(1, 2))
	var b [16]byte
	for i := range 4 * sets * setEntries {
		binary.NativeEndian.PutUint64(b[:], r.Uint64())
		if !c.Admit(netip.AddrFrom16(b), second) {
			t.Fatalf("address %d is refused", i)
		}
	}
	if c.Admit(busy, second) {
		t.Error("it was forgotten")
	}
}

// Loops that count at the same time admit together what one would.
func TestConnectionsTogether(t *testing.T) {
	const burst, loops = 1000, 4
	c := connections(t, ConnOptions{Rate: 1, Burst: burst})
	a := netip.MustParseAddr("192.0.2.1")
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range loops {
		all.Go(func() {
			for range burst {
				if c.Admit(a, second) {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n != burst {
		t.Errorf("%d admitted, want %d", n, burst)
	}
	if n := testing.AllocsPerRun(100, func() { c.Admit(a, second); c.Abused(a, second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
