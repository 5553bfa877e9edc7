package reactor

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// work is an Aside. It notes what becomes of it.
type work struct {
	l    *Loop
	run  func(stint uint64) // nil: nothing
	back chan bool          // whether it has ended as a part of the loop
}

func newWork(l *Loop, run func(stint uint64)) *work {
	return &work{l: l, run: run, back: make(chan bool, 1)}
}

func (w *work) Run(stint uint64) {
	if w.run != nil {
		w.run(stint)
	}
}

func (w *work) Back(took, own time.Duration) {
	w.back <- w.l.turning && w.l.Leading() && took >= 0 && own >= 0
}

func (w *work) Away(time.Duration) { w.back <- false }

// expect waits for the end of the work.
func (w *work) expect(t *testing.T, back bool, what string) {
	t.Helper()
	if got := wait(t, w.back, what); got != back {
		t.Errorf("%s: as a part of the loop: %v", what, got)
	}
}

// noStandby is the period of a standby that never looks.
const noStandby = time.Hour

// asideLoop is a loop that takes work, and whose standby looks with this period.
func asideLoop(t *testing.T, period time.Duration, led func()) *Loop {
	t.Helper()
	if !batchesKnown {
		t.Skip("loops take no work on this system")
	}
	l, err := NewLoop(Options{Led: led})
	if err != nil {
		t.Fatal(err)
	}
	l.standbyPeriod, l.standbyRounds = period, 1
	runLoop(t, l)
	return l
}

// takes has the loop take work.
func takes(t *testing.T, l *Loop, works ...*work) {
	t.Helper()
	on(t, l, func() {
		for _, w := range works {
			if !l.Aside(w) {
				t.Error("the loop takes no work")
			}
		}
	})
}

// Work is done in order, by a goroutine other than that of Run, and comes back in a turn.
func TestAside(t *testing.T) {
	var leaders atomic.Int32
	l := asideLoop(t, noStandby, func() { leaders.Add(1) })
	var order []int
	var works []*work
	for i := range 3 * asidesAtOnce {
		works = append(works, newWork(l, func(uint64) {
			if l.Leading() {
				t.Error("work while the goroutine runs the loop")
			}
			order = append(order, i)
		}))
	}
	takes(t, l, works...)
	for _, w := range works {
		w.expect(t, true, "work")
	}
	if !slices.IsSorted(order) || len(order) != len(works) {
		t.Errorf("order %v", order)
	}
	if n := leaders.Load(); n != 2 {
		t.Errorf("%d goroutines were the loop, want that of Run and another one", n)
	}
}

// Work that takes long does not hold up the loop, nor the work behind it, which goroutines of its own do.
func TestAsideHeldUp(t *testing.T) {
	l := asideLoop(t, time.Millisecond, nil)
	for range 3 { // the standby of one leader, and of those that follow
		gate := make(chan struct{})
		held := newWork(l, func(uint64) { <-gate })
		next := newWork(l, nil)
		takes(t, l, held, next)
		next.expect(t, false, "the work behind it")
		on(t, l, func() {})
		close(gate)
		held.expect(t, false, "the work that took long")
	}
}

// The standby rests while there is no work, and begins again.
func TestAsideRest(t *testing.T) {
	l := asideLoop(t, time.Millisecond, nil)
	for range 2 {
		w := newWork(l, nil)
		takes(t, l, w)
		<-w.back
		for end := time.Now().Add(patience); !l.resting.Load(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the standby does not rest")
			}
		}
		gate := make(chan struct{})
		held := newWork(l, func(uint64) { <-gate })
		takes(t, l, held)
		on(t, l, func() {})
		close(gate)
		held.expect(t, false, "the work that took long")
	}
}

// Work that waits for the loop says so, and does not have to wait for the standby.
func TestAsideRelieve(t *testing.T) {
	l := asideLoop(t, noStandby, nil)
	w := newWork(l, func(stint uint64) {
		l.Relieve(stint)
		on(t, l, func() {})
		l.Relieve(stint) // has no effect any more
	})
	next := newWork(l, nil)
	takes(t, l, w, next)
	w.expect(t, false, "work that has left the loop")
	next.expect(t, true, "the work after it")
	stale := uint64(0)
	takes(t, l, newWork(l, func(stint uint64) { stale = stint }))
	on(t, l, func() {})
	l.Relieve(stale)
	last := newWork(l, nil)
	takes(t, l, last)
	last.expect(t, true, "work after a stint that is over")
}

// A goroutine that ends in the middle of work does not take the loop with it.
func TestAsideGoexit(t *testing.T) {
	l := asideLoop(t, noStandby, nil)
	w, next := newWork(l, func(uint64) { runtime.Goexit() }), newWork(l, nil)
	takes(t, l, w, next)
	w.expect(t, false, "work whose goroutine has ended")
	next.expect(t, true, "the work after it")
}

// A batch of events goes on with the goroutine that becomes the loop.
func TestAsideBatch(t *testing.T) {
	l := asideLoop(t, time.Millisecond, nil)
	const sockets = 5*asidesAtOnce + 1
	gate := make(chan struct{})
	var works []*work
	fire := make([]int, sockets)
	for i := range sockets {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pair[1])
		fire[i] = pair[1]
		w := newWork(l, func(uint64) {
			if i%asidesAtOnce == 3 {
				<-gate
			}
		})
		works = append(works, w)
		on(t, l, func() {
			if err := l.AddRead(pair[0], readyFunc(func() { l.Aside(w) })); err != nil {
				t.Error(err)
			}
		})
	}
	on(t, l, func() { // so that all are in one batch
		for _, fd := range fire {
			unix.Write(fd, []byte{1})
		}
	})
	for i, w := range works {
		if i%asidesAtOnce != 3 {
			wait(t, w.back, "end of the work of an event")
		}
	}
	close(gate)
	for i, w := range works {
		if i%asidesAtOnce == 3 {
			w.expect(t, false, "the work that took long")
		}
	}
}

// The end of a loop does not wait for its work. Work that has not begun then is done all the same.
func TestAsideEnd(t *testing.T) {
	l := asideLoop(t, time.Millisecond, nil)
	gate := make(chan struct{})
	held := newWork(l, func(uint64) { <-gate })
	takes(t, l, held)
	late := newWork(l, func(stint uint64) {
		if stint != 0 {
			t.Error("the loop has ended, but is said to be held up")
		}
		l.Relieve(stint)
	})
	exits := newWork(l, func(uint64) { runtime.Goexit() })
	on(t, l, func() {
		l.Stop()
		l.Aside(late)
		l.Aside(exits)
	})
	late.expect(t, false, "work of a loop that has ended")
	exits.expect(t, false, "work of a loop that has ended, whose goroutine has ended")
	close(gate)
	held.expect(t, false, "work that was running at the end")
}

// A loop whose goroutine is locked to a thread takes no work.
func TestAsideLocked(t *testing.T) {
	l := startLoop(t, Options{Batch: true})
	on(t, l, func() {
		if l.Aside(newWork(l, nil)) {
			t.Error("work was taken")
		}
	})
}
