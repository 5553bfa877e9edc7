package pool

import (
	"testing"
	"time"
)

// Every verb in every state: it moves the worker, or does nothing, and says which.
func TestWorkerStates(t *testing.T) {
	verbs := []struct {
		name string
		do   func(w *Worker) bool // whether it says that it has done something
		want [stateCount]State    // by the state before
	}{
		{"begin", func(w *Worker) bool { return w.begin(time.Now()) }, [stateCount]State{Idle, Idle, Busy, Draining, Gone}},
		{"seem busy", func(w *Worker) bool { s := w.state; w.seem(true); return w.state != s },
			[stateCount]State{Booting, Busy, Busy, Draining, Gone}},
		{"seem idle", func(w *Worker) bool { s := w.state; w.seem(false); return w.state != s },
			[stateCount]State{Booting, Idle, Idle, Draining, Gone}},
		{"dismiss", func(w *Worker) bool { return w.dismiss() },
			[stateCount]State{Draining, Draining, Draining, Draining, Gone}},
		{"end", func(w *Worker) bool { return w.end(9, true) }, [stateCount]State{Gone, Gone, Gone, Gone, Gone}},
	}
	for _, v := range verbs {
		for before := range stateCount {
			w := &Worker{p: &Pool{}, state: before}
			w.serving.Store(before.serving())
			done := v.do(w)
			if w.state != v.want[before] || done != (w.state != before) {
				t.Errorf("%s of a worker that is %v: %v, says %v", v.name, before, w.state, done)
			}
			if w.serving.Load() != w.state.serving() {
				t.Errorf("%s of a worker that is %v: the loops see otherwise", v.name, before)
			}
			if told := w.p.epoch.Load() > 0; told != (before.serving() != w.state.serving() || done && w.state == Gone) {
				t.Errorf("%s of a worker that is %v: loops told: %v", v.name, before, told)
			}
		}
	}
}

// What is no move is a mistake that does not pass unnoticed.
func TestIllegalMoves(t *testing.T) {
	for from := range stateCount {
		for to := range stateCount {
			w := &Worker{p: &Pool{}, state: from}
			panics := func() (is bool) {
				defer func() { is = recover() != nil }()
				w.move(to)
				return false
			}()
			if panics == legal[from][to] || panics && w.state != from {
				t.Errorf("%v to %v: panics %v, is %v then", from, to, panics, w.state)
			}
			if to <= from && legal[from][to] && !(from == Busy && to == Idle) {
				t.Errorf("%v to %v: life goes one way only", from, to)
			}
		}
	}
}
