package ratelimit

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

func open(t *testing.T, o OpenOptions) *Open {
	t.Helper()
	l, err := NewOpen(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOpen(t *testing.T) {
	proxy := netip.MustParseAddr("192.0.2.9")
	l := open(t, OpenOptions{Most: 2, Exempt: func(a netip.Addr) bool { return a == proxy }})
	opens := func(a string, want bool) {
		t.Helper()
		if got := l.Opened(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
	opens("2001:db8::1", true)
	opens("2001:db8::2", true)
	opens("2001:db8::3", false) // of the same /64
	opens("192.0.2.1", true)
	opens("::ffff:192.0.2.1", true)
	opens("192.0.2.1", false)
	for range 3 {
		opens("192.0.2.9", true) // exempt
		if !l.Opened(netip.Addr{}) {
			t.Error("a Unix socket is limited")
		}
	}
	l.Closed(netip.MustParseAddr("192.0.2.1"))
	opens("192.0.2.1", true)
	opens("192.0.2.1", false)

	// Another limit goes on with what this one has counted. What this one has admitted ends there, too.
	more := open(t, OpenOptions{Most: 3, Table: l.Table()})
	if a := netip.MustParseAddr("192.0.2.1"); !more.Opened(a) || more.Opened(a) {
		t.Error("the table is not the same")
	}
	for range 3 {
		l.Closed(netip.MustParseAddr("192.0.2.1"))
		l.Closed(proxy)
		l.Closed(netip.Addr{})
	}
	for range 2 {
		l.Closed(netip.MustParseAddr("2001:db8::1"))
	}
	if n := l.Table().Clients(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	if _, err := NewOpen(OpenOptions{}); err == nil {
		t.Error("no limit, and no error")
	}
}

// Loops that count at the same time admit together what one would, and nothing is left of it.
func TestOpenTogether(t *testing.T) {
	const most, loops = 100, 4
	l := open(t, OpenOptions{Most: most})
	a := netip.MustParseAddr("192.0.2.1")
	var now, admitted atomic.Int64
	var all sync.WaitGroup
	for range loops {
		all.Go(func() {
			for range 1000 {
				if l.Opened(a) {
					admitted.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n != most {
		t.Errorf("%d admitted, want %d", n, most)
	}
	for range most {
		l.Closed(a)
	}
	few := open(t, OpenOptions{Most: 2, Table: l.Table()})
	for range loops {
		all.Go(func() {
			for range 1000 {
				if few.Opened(a) {
					if n := now.Add(1); n > 2 {
						t.Errorf("%d are open", n)
					}
					now.Add(-1)
					few.Closed(a)
				}
			}
		})
	}
	all.Wait()
	if n := l.Table().Clients(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
	l.Opened(a)
	if n := testing.AllocsPerRun(100, func() { l.Opened(a); l.Closed(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
