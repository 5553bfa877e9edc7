package timers_test

import (
	"fmt"

	"moonbridge/timers"
)

// lease has a deadline. Its timer is a field, so that setting it needs no memory.
type lease struct {
	name  string
	timer timers.Timer
}

func (l *lease) Expired(*timers.Timer) { fmt.Println(l.name, "has expired") }

func Example() {
	w := timers.NewWheel(1000) // ticks are milliseconds of a clock that the caller reads
	short, long := &lease{name: "short"}, &lease{name: "long"}
	for _, l := range []*lease{short, long} {
		l.timer.Init(l)
	}
	w.Set(&short.timer, 1020)
	w.Set(&long.timer, 1050)

	next, _ := w.Next()
	fmt.Println("sleep until", next)
	fmt.Println(w.Advance(next), "fired")

	w.Set(&long.timer, 5000) // renewed: a timer that is set again moves
	fmt.Println(w.Advance(1100), "fired")
	w.Cancel(&long.timer)
	fmt.Println(w.Len(), "left")
	// Output:
	// sleep until 1020
	// short has expired
	// 1 fired
	// 0 fired
	// 0 left
}
