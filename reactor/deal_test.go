package reactor

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// filling is a listener that fills three loops.
type filling struct {
	*Listener
	loops []*Loop
	over  []<-chan struct{} // when they have ended
}

func newFilling(t *testing.T, network, address string, n int) *filling {
	t.Helper()
	f := &filling{listen(t, network, address, ListenOptions{Sockets: 3}), make([]*Loop, 3), nil}
	for i := range f.loops {
		l, err := NewLoop(Options{Index: i, Count: len(f.loops)})
		if err != nil {
			t.Fatal(err)
		}
		f.loops[i] = l
	}
	for _, i := range []int{1, 2, 0} { // the order does not count
		attach(t, f.Listener, f.loops[i], newEcho)
	}
	f.Fill(n)
	for _, l := range f.loops {
		f.over = append(f.over, runLoop(t, l))
	}
	return f
}

// counts is how many connections each loop has, after exactly total have arrived somewhere.
func (f *filling) counts(t *testing.T, total int64) []int64 {
	t.Helper()
	var counts []int64
	eventually(t, f.loops[0], "all connections arrive", func() bool {
		counts = nil
		sum := int64(0)
		for _, l := range f.loops {
			n := l.conns.Load()
			counts, sum = append(counts, n), sum+n
		}
		return sum == total
	})
	return counts
}

// dial opens a connection that is no part of a burst.
func (f *filling) dial(t *testing.T) net.Conn {
	t.Helper()
	f.burst.mu.Lock()
	f.burst.left = 0
	f.burst.mu.Unlock()
	conn := dial(t, f.Listener)
	exchange(t, conn, []byte("hello"))
	return conn
}

func eachKind(t *testing.T, test func(t *testing.T, network, address string)) {
	t.Run("tcp", func(t *testing.T) { test(t, "tcp4", "127.0.0.1:0") })
	t.Run("unix", func(t *testing.T) { test(t, "unix", filepath.Join(t.TempDir(), "sock")) })
}

// The loops are filled one after the other. A place that becomes free is taken first. What comes after the last place goes anywhere.
func TestFill(t *testing.T) {
	eachKind(t, func(t *testing.T, network, address string) {
		f := newFilling(t, network, address, 2)
		var conns []net.Conn
		for i, want := range [][]int64{{1, 0, 0}, {2, 0, 0}, {2, 1, 0}, {2, 2, 0}, {2, 2, 1}, {2, 2, 2}} {
			conns = append(conns, f.dial(t))
			if got := f.counts(t, int64(i+1)); !slices.Equal(got, want) {
				t.Fatalf("after %d connections the loops have %v, want %v", i+1, got, want)
			}
		}
		conns[3].Close() // of the second loop
		if got := f.counts(t, 5); !slices.Equal(got, []int64{2, 1, 2}) {
			t.Errorf("the loops have %v", got)
		}
		for range 4 {
			f.dial(t)
		}
		if got := f.counts(t, 9); slices.Min(got) < 2 {
			t.Errorf("the loops have %v", got)
		}
		f.Fill(20)
		f.dial(t)
		before := f.counts(t, 10)
		f.dial(t)
		if after := f.counts(t, 11); after[0] != before[0]+1 {
			t.Errorf("the loops had %v, and have %v", before, after)
		}
		f.Fill(0)
		for range 3 { // in turn, or as the kernel wants
			f.dial(t)
		}
		f.counts(t, 14)
	})
}

// Connections that arrive at once count although they are still on their way to their loops.
func TestFillBurst(t *testing.T) {
	eachKind(t, func(t *testing.T, network, address string) {
		f := newFilling(t, network, address, 5)
		entered, leave := make(chan bool, 3), make(chan bool)
		for _, l := range f.loops {
			l.Post(func() {
				entered <- true
				<-leave
			})
		}
		for range f.loops {
			<-entered
		}
		var conns []net.Conn
		for range 100 {
			conns = append(conns, dial(t, f.Listener))
		}
		close(leave)
		var all sync.WaitGroup
		for _, c := range conns {
			all.Go(func() { exchange(t, c, []byte("hello")) })
		}
		all.Wait()
		got := f.counts(t, 100)
		if slices.Min(got) < 5 {
			t.Errorf("the loops have %v", got)
		}
		if network == "tcp4" && reusePortBalances && got[0] > 80 { // about 33 + 5
			t.Errorf("the first loop has %d", got[0])
		}
	})
}

// What a peer opens at once stays together, up to the number of places of a loop, whatever places others have and take meanwhile.
func TestFillTogether(t *testing.T) {
	const n = 8
	type group struct {
		ms    int64 // when
		peer  string
		conns int
		loops []int64 // what each loop gets
	}
	for name, groups := range map[string][]group{
		"few":              {{0, "::1", 8, []int64{8, 0, 0}}},
		"others came":      {{0, "::2", 4, []int64{4, 0, 0}}, {10, "::1", 8, []int64{8, 0, 0}}, {20, "::1", 8, []int64{0, 8, 0}}},
		"others come":      {{0, "::1", 4, []int64{4, 0, 0}}, {1, "::2", 6, []int64{4, 2, 0}}, {9, "::1", 4, []int64{4, 0, 0}}},
		"many":             {{0, "::1", 24, []int64{8, 8, 8}}},
		"many and others":  {{0, "::2", 7, []int64{7, 0, 0}}, {10, "::1", 24, []int64{8, 8, 8}}},
		"one by one":       {{0, "::1", 1, []int64{1, 0, 0}}, {10, "::1", 1, []int64{1, 0, 0}}},
		"too late":         {{0, "::1", 4, []int64{4, 0, 0}}, {1, "::2", 4, []int64{4, 0, 0}}, {10, "::1", 8, []int64{0, 8, 0}}},
		"Unix":             {{0, "", 4, []int64{4, 0, 0}}, {10, "", 8, []int64{8, 0, 0}}},
		"no place is left": {{0, "::1", 24, []int64{8, 8, 8}}, {1, "::1", 3, []int64{0, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			ln := new(Listener)
			ln.Fill(n)
			loops := []*Loop{{index: 0}, {index: 1}, {index: 2}}
			for _, l := range loops {
				ln.addShare(share{loop: l})
			}
			for _, g := range groups {
				var peer netip.Addr
				if g.peer != "" {
					peer = netip.MustParseAddr(g.peer)
				}
				got := make([]int64, len(loops))
				for i := range g.conns {
					at := loops[i%len(loops)] // whichever accepts
					at.now = g.ms * 1e6
					if to := ln.unfilled(&acceptor{ln: ln, loop: at}, peer); to != nil {
						to.loop.conns.Add(1)
						got[to.loop.index]++
					}
				}
				if !slices.Equal(got, g.loops) {
					t.Errorf("after %d ms the loops get %v of %s, want %v", g.ms, got, g.peer, g.loops)
				}
			}
		})
	}
}

// dealing is listeners without sockets that have the same loops.
type dealing struct {
	now   int64
	loops []*Loop
	lns   []*Listener
}

func newDealing(fill, listeners int) *dealing {
	d := &dealing{loops: []*Loop{{index: 0}, {index: 1}, {index: 2}, {index: 3}, {index: 4}}}
	for range listeners {
		ln := new(Listener)
		ln.Fill(fill)
		for _, l := range d.loops {
			ln.addShare(share{loop: l})
		}
		d.lns = append(d.lns, ln)
	}
	return d
}

// opens opens a connection. It returns the number of the loop that gets it.
func (d *dealing) opens(listener int, peer string) int {
	by := d.loops[len(d.loops)-1]
	by.now = d.now
	to := d.lns[listener].unfilled(&acceptor{ln: d.lns[listener], loop: by}, netip.MustParseAddr(peer)).loop
	to.conns.Add(1)
	return to.index
}

// A loop gets the burst of one listener at a time: otherwise one that a peer opens on each of several would be for the same loop.
func TestFillTogetherOnListeners(t *testing.T) {
	const n, listeners = 8, 3
	d := newDealing(n, listeners)
	for range n - listeners {
		d.opens(0, "::2")
		d.now += burstTime
	}
	for range n {
		for listener := range listeners {
			d.opens(listener, "::1")
		}
	}
	var got []int64
	for _, l := range d.loops {
		got = append(got, l.conns.Load())
	}
	if slices.Max(got) > 2*n-1 {
		t.Errorf("the loops have %v", got)
	}
}

// A burst that is over leaves its loop to that of another listener.
func TestFillBurstLeavesLoop(t *testing.T) {
	const n = 8
	for name, first := range map[string]struct {
		conns int
		lasts int64
	}{
		"its places are taken": {n, 0},
		"its time is over":     {1, burstTime},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDealing(n, 2)
			for range first.conns {
				d.opens(0, "::1")
			}
			d.now += first.lasts
			d.loops[0].conns.Store(0) // they are closed
			for i := range n {
				if to := d.opens(1, "::1"); to != 0 {
					t.Errorf("connection %d is on loop %d", i, to)
				}
				d.loops[0].conns.Store(n) // others have come
			}
		})
	}
}

// Connections of a listener that closes are served, and its loops may end: those on their way are closed at last.
func TestFillClose(t *testing.T) {
	eachKind(t, func(t *testing.T, network, address string) {
		f := newFilling(t, network, address, 50)
		conns := []net.Conn{dial(t, f.Listener), dial(t, f.Listener), dial(t, f.Listener)}
		f.Close()
		for _, c := range conns {
			exchange(t, c, []byte("hello"))
			c.Close()
		}
		f.counts(t, 0)
	})
}

// A loop whose poller has failed gets no connections: those that were meant for it stay where they were accepted.
func TestFillEnded(t *testing.T) {
	for _, fill := range []int{0, 50} {
		eachKind(t, func(t *testing.T, network, address string) {
			f := newFilling(t, network, address, fill)
			f.loops[0].Stop() // loop 1 accepts for all, if one does
			wait(t, f.over[0], "end of the loop")
			for range 10 {
				ask(t, f.Listener)
			}
		})
	}
}

// Connections that are only watched count, and count once when they are registered.
func TestFillWatched(t *testing.T) {
	l := startLoop(t, Options{})
	counts := func(want int64) {
		t.Helper()
		if got := l.conns.Load(); got != want {
			t.Fatalf("%d connections, want %d", got, want)
		}
	}
	on(t, l, func() {
		a, b := pair(t)
		c, d := pair(t)
		defer unix.Close(c)
		defer unix.Close(d)
		for _, fd := range []int{a, b} {
			if err := l.WatchConn(fd, func() {}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Watch(c, func() {}); err != nil {
			t.Fatal(err)
		}
		counts(2)
		if err := l.Unwatch(a); err != nil {
			t.Fatal(err)
		}
		counts(1)
		if err := l.Add(a, newEcho(l, a)); err != nil {
			t.Fatal(err)
		}
		counts(2)
		l.Hand(a, newEcho(l, a))
		counts(2)
		l.Close(a)
		l.Close(b)
		counts(0)
		if err := l.Unwatch(c); err != nil {
			t.Fatal(err)
		}
		counts(0)
	})
}
