package pool

import (
	"testing"
	"time"

	"moonbridge/handler/pool/policy"
)

// Every verb in every state: it moves the worker, or does nothing, and says which.
func TestWorkerStates(t *testing.T) {
	verbs := []struct {
		name string
		do   func(w *Worker) bool           // whether it says that it has done something
		want [policy.NumStates]policy.State // by the state before
	}{
		{"ready", func(w *Worker) bool { return w.ready(time.Now()) }, [policy.NumStates]policy.State{policy.Idle, policy.Idle, policy.Busy, policy.Draining, policy.Gone}},
		{"setBusy true", func(w *Worker) bool { s := w.state; w.setBusy(true); return w.state != s },
			[policy.NumStates]policy.State{policy.Booting, policy.Busy, policy.Busy, policy.Draining, policy.Gone}},
		{"setBusy false", func(w *Worker) bool { s := w.state; w.setBusy(false); return w.state != s },
			[policy.NumStates]policy.State{policy.Booting, policy.Idle, policy.Idle, policy.Draining, policy.Gone}},
		{"drain", func(w *Worker) bool { return w.drain() },
			[policy.NumStates]policy.State{policy.Draining, policy.Draining, policy.Draining, policy.Draining, policy.Gone}},
		{"end", func(w *Worker) bool { return w.end(9, true) }, [policy.NumStates]policy.State{policy.Gone, policy.Gone, policy.Gone, policy.Gone, policy.Gone}},
	}
	for _, v := range verbs {
		for before := range policy.NumStates {
			w := &Worker{p: &Pool{}, state: before}
			w.serving.Store(before.Serving())
			done := v.do(w)
			if w.state != v.want[before] || done != (w.state != before) {
				t.Errorf("%s of a worker that is %v: %v, says %v", v.name, before, w.state, done)
			}
			if w.serving.Load() != w.state.Serving() {
				t.Errorf("%s of a worker that is %v: the loops see otherwise", v.name, before)
			}
			if told := w.p.epoch.Load() > 0; told != (before.Serving() != w.state.Serving() || done && w.state == policy.Gone) {
				t.Errorf("%s of a worker that is %v: loops told: %v", v.name, before, told)
			}
		}
	}
}

// An invalid move is a mistake that is noticed.
func TestIllegalMoves(t *testing.T) {
	for from := range policy.NumStates {
		for to := range policy.NumStates {
			w := &Worker{p: &Pool{}, state: from}
			panics := func() (is bool) {
				defer func() { is = recover() != nil }()
				w.move(to)
				return false
			}()
			if panics == from.CanBecome(to) || panics && w.state != from {
				t.Errorf("%v to %v: panics %v, is %v then", from, to, panics, w.state)
			}
			if to <= from && from.CanBecome(to) && !(from == policy.Busy && to == policy.Idle) {
				t.Errorf("%v to %v: life goes one way only", from, to)
			}
		}
	}
}
