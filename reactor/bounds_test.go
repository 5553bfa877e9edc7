package reactor

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// This file tests what the documentation promises, so it has the numbers of the documentation, not the constants of the
// code.

// However many tasks are posted, a turn runs 256 of them.
func TestPostedPerTurn(t *testing.T) {
	const posted = 1000
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	turns := &counter{}
	l.OnTurn(turns)
	var ran []int // in each turn
	for i := range posted {
		l.Post(func() {
			if turns.begun > len(ran) {
				ran = append(ran, make([]int, turns.begun-len(ran))...)
			}
			ran[turns.begun-1]++
			if i == posted-1 {
				l.Stop()
			}
		})
	}
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []int{256, 256, 256, 232}; !slices.Equal(ran, want) {
		t.Errorf("%v tasks in the turns, want %v", ran, want)
	}
}

// A task that a task posts runs in the next turn, after events and timers.
func TestPostInPost(t *testing.T) {
	const tasks = 10_000
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	turns := &counter{}
	l.OnTurn(turns)
	ran, first := 0, 0
	var again func()
	again = func() {
		if ran++; turns.begun == 1 {
			first++
		}
		if ran < tasks {
			l.Post(again)
		} else {
			l.Stop()
		}
	}
	l.Post(again)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if first != 1 || turns.begun < tasks {
		t.Errorf("%d tasks in the first turn, %d turns; want 1, and a turn for each of %d", first, turns.begun, tasks)
	}
}

// However many connections wait, 64 are accepted at a time.
func TestAcceptsPerTurn(t *testing.T) {
	const conns = 150
	for _, where := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"unix", t.TempDir() + "/s"}} {
		ln := listen(t, where[0], where[1], ListenOptions{})
		l, err := NewLoop(Options{})
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		if err := ln.Attach(l, func(fd int, _ netip.AddrPort) { accepted++; unix.Close(fd) }, nil); err != nil {
			t.Fatal(err)
		}
		for range conns {
			dial(t, ln)
		}
		a := ln.acceptors[0]
		a.Ready(Readable)
		a.Ready(Readable) // an edge changes nothing while acceptMore is posted
		if accepted != 64 {
			t.Errorf("%s: %d connections accepted at the edge, want 64", where[0], accepted)
		}
		a.acceptMore()
		if accepted != 128 {
			t.Errorf("%s: %d connections accepted at the edge and once more, want 128", where[0], accepted)
		}
		a.acceptMore()
		if accepted != conns || a.waiting {
			t.Errorf("%s: %d connections accepted in the end, want %d; waiting: %v", where[0], accepted, conns, a.waiting)
		}
		l.Stop()
		if err := l.Run(); err != nil {
			t.Error(err)
		}
	}
}
