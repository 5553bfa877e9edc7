package reactor

import "testing"

// counter is a Turn that counts.
type counter struct{ begun, ended int }

func (c *counter) BeginTurn()    { c.begun++ }
func (c *counter) EndTurn() bool { c.ended++; return false }

func TestOffTurn(t *testing.T) {
	l := startLoop(t, Options{})
	var gone, stays counter
	on(t, l, func() { l.OnTurn(&gone); l.OnTurn(&stays) })
	eventually(t, l, "called", func() bool { return gone.ended > 0 && stays.ended > 0 })
	on(t, l, func() { l.OffTurn(&gone); l.OffTurn(&counter{}) })
	on(t, l, func() {}) // the turn is over
	last := 0
	on(t, l, func() { last = gone.begun })
	before := 0
	on(t, l, func() { before = stays.begun })
	eventually(t, l, "called on", func() bool { return stays.begun > before+3 })
	on(t, l, func() {
		if gone.begun != last {
			t.Errorf("called %d times after OffTurn", gone.begun-last)
		}
	})
}
