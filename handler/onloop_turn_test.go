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
