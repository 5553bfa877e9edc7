package upstream

import (
	"slices"
	"testing"
)

// Connections are counted by loop, and those of a target that stays are kept.
func TestConns(t *testing.T) {
	list := targets(1, 1)
	r := newRig(t, Options{}, list...)
	v := r.server(0)
	v.Connected(2)
	v.Connected(0)
	v.Connected(2)
	v.Disconnected(2)
	if err := r.set.Replace(list[1], list[0]); err != nil {
		t.Fatal(err)
	}
	got := r.set.Status()
	if !slices.Equal(got[1].Conns, []int{1, 0, 1}) || got[0].Conns != nil {
		t.Errorf("%v and %v", got[1].Conns, got[0].Conns)
	}
	v.Disconnected(0)
	if got[1].Conns[0] != 1 {
		t.Error("what Status has returned changes")
	}
}
