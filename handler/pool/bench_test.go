package pool

import (
	"testing"

	"moonbridge/httpparse"
)

// oneExchange is the way from Start to Done.
func oneExchange(s *still, x *plain, h *httpparse.Head, body []byte) {
	if _, err := s.l.Start(x, h, 0, body, false); err != nil {
		s.t.Fatal(err)
	}
	s.l.BeginTurn()
	s.l.ring()
	s.answer(0, s.claim(0), 100)
	s.l.EndTurn()
}

// TestNoAllocation: an exchange allocates nothing, whether it has a body, and whether it is logged, which the id tells.
func TestNoAllocation(t *testing.T) {
	get := testHead()
	logged := testHead()
	logged.ID = []byte("0123456789abcdef")
	post := (&request{method: "POST", target: "form", fields: [][2]string{{"Host", "example.org"}, {"Content-Length", "1024"}}}).head()
	for name, c := range map[string]struct {
		head *httpparse.Head
		body []byte
	}{"hello": {get, nil}, "logged": {logged, nil}, "form": {post, make([]byte, 1024)}} {
		s, x := newStill(t, 1), &plain{}
		n := testing.AllocsPerRun(1000, func() { oneExchange(s, x, c.head, c.body) })
		if n != 0 {
			t.Errorf("%s: %v allocations for an exchange", name, n)
		}
		if *x != (plain{bytes: 100 * 1001, done: 1001}) {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	s := newStill(b, 1)
	x, h := &plain{}, testHead()
	b.ReportAllocs()
	for b.Loop() {
		oneExchange(s, x, h, nil)
	}
}

func BenchmarkIdleTurn(b *testing.B) {
	s := newStill(b, 1)
	for b.Loop() {
		s.l.BeginTurn()
		s.l.EndTurn()
	}
}
