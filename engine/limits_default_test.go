package engine

import (
	"reflect"
	"slices"
	"testing"
)

// DefaultLimits are what holds for a zero Limits, and none of them is left out.
func TestDefaultLimits(t *testing.T) {
	if got, want := DefaultLimits().resolve(), (Limits{}).resolve(); got != want {
		t.Errorf("DefaultLimits: %+v, a zero Limits: %+v", got, want)
	}
	mayBeZero := []string{"SpoolOutput", "BodyCodings", "PeerEnd"} // 0 is what it says, or no number
	d := reflect.ValueOf(DefaultLimits())
	for i := range d.NumField() {
		name := d.Type().Field(i).Name
		if f := d.Field(i); (f.CanInt() || f.CanUint()) && f.IsZero() && !slices.Contains(mayBeZero, name) {
			t.Errorf("%s is left out", name)
		}
	}
}
