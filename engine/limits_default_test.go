package engine

import "testing"

// DefaultLimits are what holds for a zero Limits, and none of them is left out.
func TestDefaultLimits(t *testing.T) {
	if got, want := DefaultLimits().resolve(), (Limits{}).resolve(); got != want {
		t.Errorf("DefaultLimits: %+v, a zero Limits: %+v", got, want)
	}
	if d := DefaultLimits(); d.HeadBytes == 0 || d.BodyBytes == 0 || d.BufferBody == 0 || d.OutputBytes == 0 || d.IdleTimeout == 0 ||
		d.HeadTimeout == 0 || d.StallTimeout == 0 || d.ResponseTimeout == 0 || d.DrainTimeout == 0 {
		t.Errorf("a field is left out: %+v", d)
	}
}
