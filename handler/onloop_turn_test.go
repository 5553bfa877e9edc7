package handler

import (
	"strings"
	"testing"
)

// However many exchanges follow from one another, a turn completes 4096 of them. Then other events of the loop have a turn.
func TestOnLoopTurnIsBounded(t *testing.T) {
	const perTurn, exchanges = 4096, 10_000
	b := attach(t, OnLoop(hello))
	p := &pipeliner{fakeConn: fakeConn{t: t, l: b.fakeLoop, takes: -1, started: true}, b: b, left: exchanges}
	b.inTurn = true
	p.next()
	for turn, want := 1, perTurn; ; turn, want = turn+1, want+perTurn {
		again := b.turns[0].EndTurn()
		want = min(want, exchanges)
		if n := strings.Count(string(p.out), "hello"); n != want || again != (want < exchanges) {
			t.Fatalf("%d exchanges in %d turns, another asked for: %v; want %d exchanges", n, turn, again, want)
		}
		if !again {
			return
		}
	}
}

// A backend without exchanges leaves the turns of its loop, and comes back with the next exchange: at the end of a turn, too, when
// others were asked already whether there is more to do.
func TestOnLoopLeavesTurns(t *testing.T) {
	b := attach(t, OnLoop(hello))
	if len(b.turns) != 0 {
		t.Error("it takes part in turns before there was an exchange")
	}
	for range 2 {
		x := &pipeliner{fakeConn: fakeConn{t: t, l: b.fakeLoop, takes: -1, started: true}, b: b, left: 1}
		b.inTurn = true
		x.next()
		if len(b.turns) != 1 || len(b.posted) != 1 {
			t.Fatalf("with an exchange, %d hooks and %d posted functions", len(b.turns), len(b.posted))
		}
		for n := range idleTurns + 1 {
			if len(b.turns) != 1 {
				t.Fatalf("it has left after %d turns", n)
			}
			b.fakeLoop.turn(nil)
			if n == 0 && !strings.Contains(string(x.out), "hello") {
				t.Errorf("response %q", x.out)
			}
		}
		if len(b.turns) != 0 {
			t.Error("it has not left")
		}
	}
}
