package reactor

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// randomWork is an Aside that does one of the things that work may do, and then has the loop take more work.
type randomWork struct {
	x    *randomAsides
	kind byte
	more int // pieces of work that follow it
	over atomic.Bool
}

// randomAsides is a loop with work, and how much of it there is.
type randomAsides struct {
	t           *testing.T
	l           *Loop
	began, over atomic.Int64
	steps       int // owned by the loop: the race detector finds two goroutines that take themselves for it
}

// Run implements Aside.
func (w *randomWork) Run(stint uint64) {
	l, step := w.x.l, make(chan struct{})
	switch w.kind % 16 {
	case 0:
		for end := time.Now().Add(100 * time.Microsecond); time.Now().Before(end); {
		}
	case 1:
		time.Sleep(100 * time.Microsecond)
	case 2:
		l.Relieve(stint)
	case 3:
		go l.Relieve(stint) // perhaps when the work is over
	case 4:
		l.Relieve(stint)
		fallthrough
	case 5:
		if l.Post(func() { w.x.steps++; close(step) }) {
			<-step
		}
	case 6:
		runtime.Goexit()
	}
}

// Back implements Aside.
func (w *randomWork) Back(took, own time.Duration) {
	if !w.x.l.turning || !w.x.l.Leading() || took < 0 || own < 0 {
		w.x.t.Error("work came back to something else than a turn of the loop")
	}
	w.goOn()
}

// Away implements Aside.
func (w *randomWork) Away(time.Duration) {
	if !w.x.l.Post(w.goOn) {
		w.ended()
	}
}

func (w *randomWork) goOn() {
	if w.more > 0 {
		w.x.take(w.kind*7+3, w.more-1)
	}
	w.ended()
}

func (w *randomWork) ended() {
	if w.over.Swap(true) {
		w.x.t.Error("work has ended twice")
	}
	w.x.over.Add(1)
}

// take has the loop take work.
func (x *randomAsides) take(kind byte, more int) {
	x.steps++
	x.began.Add(1)
	x.l.Aside(&randomWork{x: x, kind: kind, more: more})
}

// Whatever work does, and whenever another goroutine becomes the loop, one goroutine at a time is the loop, and all work ends once. In
// half of the rounds the loop ends while there is work.
func TestAsideRandomly(t *testing.T) {
	for round := range 12 {
		x := &randomAsides{t: t, l: asideLoop(t, []time.Duration{20 * time.Microsecond, time.Millisecond}[round/2%2], nil)}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		on(t, x.l, func() {
			err := x.l.AddRead(pair[0], readyFunc(func() {
				var kinds [64]byte
				n, _ := Read(pair[0], kinds[:])
				for _, kind := range kinds[:n] {
					x.take(kind, int(kind)%3)
				}
			}))
			if err != nil {
				t.Error(err)
			}
			x.take(0, 2)
		})
		for i := range 100 {
			unix.Write(pair[1], []byte{byte(rand.IntN(256)), byte(rand.IntN(256)), byte(rand.IntN(256))})
			x.l.Post(func() { x.steps++ })
			if round%2 == 1 && i == 90 {
				x.l.Stop()
			}
			runtime.Gosched()
		}
		for end := time.Now().Add(patience); x.over.Load() != x.began.Load(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("round %d: %d of %d pieces of work have ended", round, x.over.Load(), x.began.Load())
			}
		}
		unix.Close(pair[1])
	}
}
