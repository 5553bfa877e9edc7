package pool

import (
	"testing"
	"time"
)

// An exchange that waits while the home worker computes is not left alone: after a moment one more worker is woken.
func TestWakeWhenStalled(t *testing.T) {
	s := newStill(t, 3)
	for _, w := range s.workers[1:] {
		w.out.Asleep.Store(1)
	}
	awake := func() (n int) {
		for _, w := range s.workers {
			if w.out.Asleep.Load() == 0 {
				n++
			}
		}
		return n
	}
	s.start(&plain{}, testHead())
	const step = 100 * time.Microsecond
	woken := time.Duration(0)
	for s.turn(0); awake() == 1; s.turn(step) {
		if woken += step; woken > 100*time.Millisecond {
			t.Fatalf("no other worker was woken although an exchange has waited for %v", woken)
		}
	}
	if woken < 5*step {
		t.Errorf("another worker was woken after %v: the home worker was not given the time for a short exchange", woken)
	}
	if n := awake(); n != 2 {
		t.Errorf("%d workers are awake for one exchange, want 2", n)
	}
}

// As long as exchanges are finished, no other worker is woken, however long one of them has to wait.
func TestNoWakeWhileProgress(t *testing.T) {
	s := newStill(t, 2)
	s.workers[1].out.Asleep.Store(1)
	for range 1000 {
		s.start(&plain{}, testHead())
		s.start(&plain{}, testHead())
		s.turn(500 * time.Microsecond)
		s.answer(0, s.claim(0), 1)
		s.turn(0)
		s.answer(0, s.claim(0), 1)
		s.turn(0)
	}
	if s.workers[1].out.Asleep.Load() == 0 {
		t.Error("another worker was woken although the home worker gets through its exchanges")
	}
}

// Exchanges of other loops that workers finish are no progress for a loop that is home to none of these workers.
func TestWakeWhileOthersProgress(t *testing.T) {
	s := newStill(t, 2)
	s.workers[0].home, s.workers[1].home = 1, 1
	s.workers[1].out.Asleep.Store(1)
	s.start(&plain{}, testHead())
	for spent := time.Duration(0); s.workers[1].out.Asleep.Load() != 0; spent += 100 * time.Microsecond {
		if spent > 2*stallSpan {
			t.Fatalf("no idle worker was woken although an exchange has waited for %v", spent)
		}
		s.workers[0].out.Finished.Add(1)
		s.turn(100 * time.Microsecond)
	}
}
