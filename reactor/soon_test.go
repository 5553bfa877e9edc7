package reactor

import (
	"slices"
	"testing"
)

// asking is a Turn that calls Soon the first time that it is called.
type asking struct {
	l     *Loop
	seen  []string
	asked bool
}

func (a *asking) note(what string) { a.seen = append(a.seen, what) }

func (a *asking) BeginTurn() { a.note("begin") }

func (a *asking) EndTurn() bool {
	a.note("end")
	if !a.asked {
		a.asked = true
		a.l.Soon(func() {
			a.note("after")
			a.l.Soon(func() { a.note("next") })
		})
	}
	if a.l.RepeatsEnd() {
		a.note("again")
	}
	return false
}

// Tasks of Soon run in the turn: those of events and tasks before the hooks, those of hooks after them, and then the hooks are called
// once more. What these ask for is the next turn's, which follows at once.
func TestSoon(t *testing.T) {
	l := startLoop(t, Options{})
	a := &asking{l: l}
	on(t, l, func() {
		l.OnTurn(a)
		l.Soon(func() { a.note("before") })
	})
	want := []string{"before", "end", "again", "after", "end", "again", "begin", "next", "end"}
	var seen []string
	eventually(t, l, "all called", func() bool { seen = slices.Clone(a.seen); return len(seen) >= len(want) })
	if !slices.Equal(seen[:len(want)], want) {
		t.Errorf("%v, want %v", seen, want)
	}
}

// What Soon was called for is run at the end of a loop, too.
func TestSoonAtTheEnd(t *testing.T) {
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	l.Soon(func() { ran++; l.Stop(); l.Post(func() { l.Soon(func() { ran++ }) }) })
	if err := l.Run(); err != nil || ran != 2 {
		t.Errorf("%v, %d of 2 tasks ran", err, ran)
	}
}

// A task that asks for itself again does not keep the loop from ending.
func TestSoonForEver(t *testing.T) {
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	const most = 1000
	ran := 0
	var again func()
	again = func() {
		if ran++; ran < most {
			l.Soon(again)
		}
	}
	l.Soon(again)
	l.Stop()
	if err := l.Run(); err != nil || ran == 0 || ran == most {
		t.Errorf("%v, the task ran %d times", err, ran)
	}
}
