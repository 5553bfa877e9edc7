package handler

import (
	"testing"
	"time"
)

// A loop yields for short handlers each time, and loses at most a small part of its time to long ones.
func TestYields(t *testing.T) {
	for _, handlers := range []time.Duration{yieldShort, yieldShort + 1, time.Millisecond, 50 * time.Millisecond} {
		const work = 10 * time.Microsecond // for an exchange, on the loop
		var y yields
		var now, lost time.Duration
		yielded := 0
		for range 1_000_000 {
			now += work
			if y.due(int64(now)) {
				yielded++
				y.took(int64(now), handlers)
				now += handlers
				lost += handlers
			}
		}
		if handlers <= yieldShort && yielded != 1_000_000/yieldEvery {
			t.Errorf("handlers of %v: yielded %d times", handlers, yielded)
		}
		if part := lost.Seconds() / now.Seconds(); handlers > yieldShort && (part > 1.1/yieldPart || yielded < 2) {
			t.Errorf("handlers of %v: %.3f of the time lost, by yielding %d times", handlers, part, yielded)
		}
	}
}
