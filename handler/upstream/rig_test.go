package upstream

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	newRandom = func(loop int) *rand.PCG { return rand.NewPCG(1, uint64(loop)) }
	m.Run()
}

// rig is a Set with a simulated clock, and the Picker of one loop.
type rig struct {
	t    *testing.T
	set  *Set
	pick *Picker
	now  int64
}

func newRig(t *testing.T, o Options, targets ...Target) *rig {
	t.Helper()
	s, err := New(o, targets...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, set: s, pick: s.Picker(0, 1), now: int64(time.Hour)}
	s.elapsed = func() int64 { return r.now - int64(time.Minute) }
	return r
}

// targets makes n targets, a to … by the last byte of their address.
func targets(weights ...int) (list []Target) {
	for i, w := range weights {
		list = append(list, Target{Addr: fmt.Sprintf("10.0.0.%d:80", i+1), Weight: w})
	}
	return list
}

// name is the last byte of the address of a server.
func name(v *Server) string { return fmt.Sprint(v.to.AddrPort.Addr().As4()[3]) }

func (r *rig) take(tried ...*Server) *Server {
	r.t.Helper()
	v, err := r.pick.Pick(r.now, 0, tried)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// counts makes n requests, one after the other, and counts them by server.
func (r *rig) counts(n int) map[string]int {
	r.t.Helper()
	m := make(map[string]int)
	for range n {
		v := r.take()
		m[name(v)]++
		v.End(r.now, Fine)
	}
	return m
}

func (r *rig) pass(d time.Duration) { r.now += int64(d) }

// fail makes a request to v fail.
func (r *rig) fail(v *Server) {
	v.active.Add(1)
	v.End(r.now, Failed)
}

func (r *rig) server(i int) *Server { return r.set.Servers()[i] }
