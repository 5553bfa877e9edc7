package timers

import (
	"math"
	"testing"
	"time"
)

// note is a timer that records when it expired.
type note struct {
	timer Timer
	wheel *Wheel
	at    []uint64
	then  func()
}

func newNote(w *Wheel) *note {
	n := &note{wheel: w}
	n.timer.Init(n)
	return n
}

func (n *note) Expired(t *Timer) {
	n.at = append(n.at, n.wheel.Now())
	if n.then != nil {
		n.then()
	}
}

// TestDistances sets one timer at many distances from many starts and sleeps from Next to Next.
func TestDistances(t *testing.T) {
	starts := []uint64{0, 1, 63, 64, 4095, 1<<18 - 1, 1<<36 - 1, 1<<36 - 70, 1 << 36, 1<<40 + 12345}
	distances := []uint64{1, 2, 62, 63, 64, 65, 127, 128, 4095, 4096, 4097, 1 << 18, 86_400_000, 30 * 86_400_000, 1<<36 - 1, 1 << 36, 1<<36 + 1, 1 << 38}
	for _, start := range starts {
		for _, distance := range distances {
			w := NewWheel(start)
			n := newNote(w)
			w.Set(&n.timer, start+distance)
			steps := 0
			for len(n.at) == 0 {
				next, ok := w.Next()
				if !ok || next <= w.Now() || next > start+distance {
					t.Fatalf("start %d distance %d: Next is %d, %v at %d", start, distance, next, ok, w.Now())
				}
				w.Advance(next)
				if steps++; steps > 6+8 {
					t.Fatalf("start %d distance %d: more than %d steps", start, distance, steps)
				}
			}
			if n.at[0] != start+distance {
				t.Errorf("start %d distance %d: expired at %d", start, distance, n.at[0])
			}
			if _, ok := w.Next(); ok || w.Len() != 0 || n.timer.Armed() {
				t.Errorf("start %d distance %d: wheel is not empty at the end", start, distance)
			}
		}
	}
}

func TestNextIsExactWithinOneRound(t *testing.T) {
	w := NewWheel(128)
	n := newNote(w)
	for distance := uint64(1); distance < 64; distance++ {
		w.Set(&n.timer, 128+distance)
		if next, _ := w.Next(); next != 128+distance {
			t.Errorf("distance %d: Next is %d", distance, next-128)
		}
	}
}

func TestPastDue(t *testing.T) {
	w := NewWheel(1000)
	n := newNote(w)
	for _, deadline := range []uint64{0, 999, 1000} {
		w.Set(&n.timer, deadline)
		if next, ok := w.Next(); !ok || next != 1000 || !w.Due() {
			t.Errorf("deadline %d: Next is %d, %v", deadline, next, ok)
		}
		if fired := w.Advance(1000); fired != 1 || w.Due() {
			t.Errorf("deadline %d: fired %d", deadline, fired)
		}
	}
	w.Advance(10) // time never goes backwards
	if w.Now() != 1000 {
		t.Errorf("Now is %d", w.Now())
	}
}

func TestNeverIsADeadline(t *testing.T) {
	w := NewWheel(5)
	n := newNote(w)
	w.Set(&n.timer, math.MaxUint64)
	w.Advance(1 << 50)
	if len(n.at) != 0 || !n.timer.Armed() || n.timer.Deadline() != math.MaxUint64 {
		t.Error("expired")
	}
}

// TestSetInsideExpired: a timer that is past due when it is set inside Advance waits for the next Advance, so that
// Advance ends.
func TestSetInsideExpired(t *testing.T) {
	w := NewWheel(0)
	n := newNote(w)
	n.then = func() { w.Set(&n.timer, w.Now()) }
	w.Set(&n.timer, 10)
	for i := range 3 {
		if fired := w.Advance(uint64(10 + i)); fired != 1 {
			t.Fatalf("fired %d", fired)
		}
	}
	n.then = nil
	w.Advance(20)
	later := newNote(w)
	n.then = func() { w.Set(&later.timer, 500) }
	w.Set(&n.timer, 100)
	w.Advance(1000) // 500 is not after the tick that Advance is moving to
	if len(later.at) != 0 {
		t.Error("expired in the Advance that set it")
	}
	w.Advance(1000)
	if len(later.at) != 1 {
		t.Error("did not expire in the next Advance")
	}
}

// TestCancelInsideExpired cancels timers of the same tick, of the same cascade, and later ones.
func TestCancelInsideExpired(t *testing.T) {
	for _, at := range []uint64{10, 64, 4096, 1 << 36} {
		w := NewWheel(0)
		first, same, later := newNote(w), newNote(w), newNote(w)
		first.then = func() {
			if !w.Cancel(&same.timer) || !w.Cancel(&later.timer) || w.Cancel(&first.timer) {
				t.Errorf("tick %d: Cancel returned the wrong result", at)
			}
		}
		w.Set(&first.timer, at)
		w.Set(&same.timer, at)
		w.Set(&later.timer, at+1)
		if fired := w.Advance(at + 100); fired != 1 || w.Len() != 0 {
			t.Errorf("tick %d: fired %d, left %d", at, fired, w.Len())
		}
	}
}

func TestMisusePanics(t *testing.T) {
	w := NewWheel(0)
	n := newNote(w)
	var blank Timer
	cases := map[string]func(){
		"Set before Init": func() { w.Set(&blank, 1) },
		"Init of an armed timer": func() {
			w.Set(&n.timer, 5)
			n.timer.Init(n)
		},
		"Advance inside Expired": func() {
			n.then = func() { w.Advance(100) }
			w.Set(&n.timer, 5)
			w.Advance(10)
		},
	}
	for name, misuse := range cases {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse()
		}()
	}
}

// TestStall: jumps of a day each take almost no time. Visiting every tick would take an hour.
func TestStall(t *testing.T) {
	w := NewWheel(0)
	n := newNote(w)
	w.Set(&n.timer, 3)
	begin := time.Now()
	for day := uint64(1); day <= 10_000; day++ {
		w.Advance(day * 86_400_000)
		w.Set(&n.timer, (day+1)*86_400_000-1)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %v", took)
	}
	if len(n.at) != 10_000 {
		t.Errorf("expired %d times", len(n.at))
	}
}

type silent struct{ timer Timer }

func (*silent) Expired(*Timer) {}

func TestNoAllocation(t *testing.T) {
	w := NewWheel(0)
	notes := make([]silent, 1000)
	for i := range notes {
		notes[i].timer.Init(&notes[i])
	}
	now := uint64(0)
	if n := testing.AllocsPerRun(100, func() {
		for i := range notes {
			w.Set(&notes[i].timer, now+uint64(i*i))
		}
		for i := range notes[:500] {
			w.Cancel(&notes[i].timer)
		}
		w.Next()
		now += 10_000
		w.Advance(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSetCancel(b *testing.B) {
	w := NewWheel(0)
	var s silent
	s.timer.Init(&s)
	for i := range b.N {
		w.Set(&s.timer, uint64(60_000+i&1023))
		w.Cancel(&s.timer)
	}
}

// BenchmarkKeepAlive models a typical timeout, which is moved again and again among many others.
func BenchmarkKeepAlive(b *testing.B) {
	w := NewWheel(0)
	timers := make([]silent, 10_000)
	for i := range timers {
		timers[i].timer.Init(&timers[i])
	}
	for i := range b.N {
		w.Set(&timers[i%len(timers)].timer, w.Now()+65_000)
		if i%100 == 0 {
			w.Advance(w.Now() + 1)
		}
	}
}

func BenchmarkExpire(b *testing.B) {
	w := NewWheel(0)
	timers := make([]silent, 1000)
	for i := range timers {
		timers[i].timer.Init(&timers[i])
	}
	for i := range b.N {
		w.Set(&timers[i%len(timers)].timer, w.Now()+uint64(1+i%5000))
		if i%len(timers) == len(timers)-1 {
			w.Advance(w.Now() + 5001)
		}
	}
}
