package pool

import "testing"

// A loop that is about to send what its turn has produced does not say that it sleeps: workers that finish meanwhile need not ring, and
// what they have finished is collected in the same turn.
func TestEndTurnRepeated(t *testing.T) {
	s := newStill(t, 1)
	first, second := &plain{}, &plain{}
	s.start(first, testHead())
	s.start(second, testHead())
	s.l.BeginTurn()
	s.answer(0, s.claim(0), 1)
	s.on.again = true // what the first one outputs is sent after the hooks
	if again := s.l.EndTurn(); again || s.l.flag.Load() != 0 {
		t.Errorf("another turn: %v, flag %d", again, s.l.flag.Load())
	}
	if first.done != 1 {
		t.Error("the first one was not collected")
	}
	s.answer(0, s.claim(0), 1)
	s.on.again = false
	if again := s.l.EndTurn(); again || second.done != 1 {
		t.Errorf("another turn: %v, %d of the second one done", again, second.done)
	}
	s.start(&plain{}, testHead())
	s.l.BeginTurn()
	if s.l.EndTurn(); s.l.flag.Load() != 1 {
		t.Error("it sleeps and does not say so")
	}
}
