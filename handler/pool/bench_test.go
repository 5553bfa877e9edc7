package pool

import (
	"testing"

	"moonbridge/httpparse"
)

// oneExchange is the way from Start to Done.
func oneExchange(s *still, x *plain, h *httpparse.Head) {
	s.start(x, h)
	s.l.BeginTurn()
	s.l.ring()
	s.answer(0, s.claim(0), 100)
	s.l.EndTurn()
}

func TestNoAllocation(t *testing.T) {
	s := newStill(t, 1)
	x, h := &plain{}, testHead()
	n := testing.AllocsPerRun(1000, func() { oneExchange(s, x, h) })
	if n != 0 {
		t.Errorf("%v allocations for an exchange", n)
	}
	if *x != (plain{bytes: 100 * 1001, done: 1001}) {
		t.Errorf("%+v", x)
	}
}

func BenchmarkExchange(b *testing.B) {
	s := newStill(b, 1)
	x, h := &plain{}, testHead()
	b.ReportAllocs()
	for b.Loop() {
		oneExchange(s, x, h)
	}
}

func BenchmarkIdleTurn(b *testing.B) {
	s := newStill(b, 1)
	for b.Loop() {
		s.l.BeginTurn()
		s.l.EndTurn()
	}
}
