package upstream

import (
	"errors"
	"testing"
	"time"
)

// up checks which targets get requests.
func (r *rig) up(what string, want ...string) {
	r.t.Helper()
	got := r.counts(60)
	if len(got) != len(want) {
		r.t.Errorf("%s: requests by target %v, want targets %v", what, got, want)
	}
	for _, w := range want {
		if got[w] == 0 {
			r.t.Errorf("%s: requests by target %v, want targets %v", what, got, want)
		}
	}
}

func TestPassiveHealth(t *testing.T) {
	r := newRig(t, Options{}, targets(1, 1)...)
	bad := r.server(1)
	r.fail(bad)
	r.fail(bad)
	r.up("after two failures", "1", "2")
	r.pass(11 * time.Second)
	r.fail(bad)
	r.up("they were too long ago", "1", "2")
	r.fail(bad)
	r.fail(bad)
	r.up("after three within the window", "1")
	if s := r.set.Status()[1]; s.Up || s.Why != "failed" || s.Failures != 5 {
		t.Errorf("status %+v", s)
	}

	// The trial fails: out for twice the time.
	for _, out := range []time.Duration{10, 20, 40, 60, 60} {
		r.pass(out*time.Second - 1)
		r.up("just before the end", "1")
		r.pass(1)
		r.pass(time.Millisecond)
		v := r.take(r.server(0))
		if v != bad {
			t.Fatalf("after %v there is no trial", out*time.Second)
		}
		r.up("a server on trial has a request", "1")
		v.End(r.now, Failed)
		r.up("the trial has failed", "1")
	}
	r.pass(61 * time.Second)
	if s := r.set.Status()[1]; s.Up || s.Why != "on trial" {
		t.Errorf("status %+v", s)
	}
	r.take(r.server(0)).End(r.now, Unknown)
	r.take(r.server(0)).End(r.now, Fine)
	r.up("the trial has succeeded", "1", "2")
	r.fail(bad)
	r.up("one failure later", "1", "2")
}

// meanwhile is a Balancer that chooses the last server, and calls do before.
type meanwhile struct {
	noKey
	do func()
}

func (m *meanwhile) OnLoop(int, int) LoopBalancer { return m }
func (m *meanwhile) Pick(c *Choice) int           { m.do(); return len(c.Servers) - 1 }

// Another loop begins the trial, or takes the server out, while this one chooses.
func TestTrialOfAnotherLoop(t *testing.T) {
	for what, do := range map[string]func(r *rig, v *Server){
		"on trial": func(_ *rig, v *Server) { v.take(int64(2*time.Hour), false) },
		"out":      func(r *rig, v *Server) { r.fail(v) },
	} {
		m := new(meanwhile)
		r := newRig(t, Options{Balance: m}, targets(1, 1)...)
		bad := r.server(1)
		for range 3 {
			r.fail(bad)
		}
		r.now = int64(2 * time.Hour)
		m.do = func() { do(r, bad) }
		if v := r.take(); v == bad {
			t.Errorf("a server that is %s has got another request", what)
		}
	}
}

// The last server that is up fails, before it counts as out. A request that it has failed goes to one that was left out: that may be
// back, as when servers are restarted one after the other.
func TestLastResort(t *testing.T) {
	backup := Target{Addr: "10.0.0.3:80", Backup: true}
	r := newRig(t, Options{}, append(targets(1, 1), backup)...)
	for range 3 {
		r.fail(r.server(0))
	}
	r.up("one is left out", "2")
	if v := r.take(r.server(1)); name(v) != "3" {
		t.Errorf("the request went to %s, want the backup", v.Addr())
	}
	if v := r.take(r.server(1), r.server(2)); name(v) != "1" {
		t.Errorf("the request went to %s, want the server that was left out", v.Addr())
	}
	if r.pick.Another(r.now, nil, r.server(1)) {
		t.Error("there is an answer: a server that was left out is no better")
	}
	if _, err := r.pick.Pick(r.now, 0, r.set.Servers()); !errors.Is(err, ErrNone) {
		t.Error("all were tried:", err)
	}

	r = newRig(t, Options{Passive: Passive{Panic: -1}}, targets(1, 1)...)
	for range 3 {
		r.fail(r.server(0))
	}
	if _, err := r.pick.Pick(r.now, 0, []*Server{r.server(1)}); !errors.Is(err, ErrNone) {
		t.Error("servers that are left out get nothing if one is up:", err)
	}
}

func TestPanic(t *testing.T) {
	r := newRig(t, Options{}, targets(1, 1, 1, 1)...)
	down := func(i int) {
		for range 3 {
			r.fail(r.server(i))
		}
	}
	down(0)
	down(1)
	r.up("half of the targets are up", "3", "4")
	down(2)
	r.up("fewer than half are: all count", "1", "2", "3", "4")
	down(3)
	r.up("none is: all count", "1", "2", "3", "4")
}

func TestNoPanic(t *testing.T) {
	r := newRig(t, Options{Passive: Passive{Panic: -1}}, targets(1, 1, 1)...)
	for i := range 2 {
		for range 3 {
			r.fail(r.server(i))
		}
	}
	r.up("one target is up", "3")
	for range 3 {
		r.fail(r.server(2))
	}
	r.up("the last one is not left out", "1", "2", "3")
}

// With OnlyHealthy a server that is not up gets nothing, except for its trial, whatever the part that is up.
func TestOnlyHealthy(t *testing.T) {
	backup := Target{Addr: "10.0.0.4:80", Backup: true}
	r := newRig(t, Options{OnlyHealthy: true, Active: new(Active), Passive: Passive{OutMax: time.Minute}}, append(targets(1, 1, 1), backup)...)
	r.up("all are up", "1", "2", "3")
	out := func(i int) {
		for range 3 {
			r.fail(r.server(i))
		}
	}
	out(0)
	r.server(1).Checked(r.now, false)
	r.up("a third of them is: the backup steps in", "3", "4")
	if v := r.take(r.server(2)); v != r.server(3) {
		t.Errorf("after the target that is up, the request went to %s, want the backup", v.Addr())
	}
	if v, err := r.pick.Pick(r.now, 0, []*Server{r.server(2), r.server(3)}); !errors.Is(err, ErrNone) {
		t.Errorf("a request that all which are up have failed went on: %v, %v", v, err)
	}
	if r.pick.Another(r.now, []*Server{r.server(2)}, r.server(3)) {
		t.Error("there is another server, which is not up")
	}
	out(3)
	r.up("the backup is not up", "3")
	out(2)
	if v, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrNone) {
		t.Errorf("none is up: %v, %v", v, err)
	}
	r.now += int64(11 * time.Second)
	v := r.take()
	for range 2 { // the three that have failed are on trial at the same time
		r.take()
	}
	if more, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrNone) {
		t.Errorf("all have their trials: %v, %v", more, err)
	}
	v.End(r.now, Fine)
	r.up("one has passed", name(v))
}

func TestBackups(t *testing.T) {
	list := targets(1, 1, 1)
	list[2].Backup = true
	r := newRig(t, Options{}, list...)
	r.up("all are up", "1", "2")
	down := func(i int) {
		for range 3 {
			r.fail(r.server(i))
		}
	}
	down(0)
	r.up("half are up", "2")
	down(1)
	r.up("none is up", "3")
	down(2)
	r.up("not even the backup", "1", "2", "3")
}

func TestPassiveHealthOff(t *testing.T) {
	r := newRig(t, Options{Passive: Passive{Fails: -1}}, targets(1, 1)...)
	for range 100 {
		r.fail(r.server(0))
	}
	r.up("failures do not count", "1", "2")
}

func TestChecks(t *testing.T) {
	r := newRig(t, Options{Active: &Active{}}, targets(1, 1)...)
	v := r.server(1)
	check := func(results ...bool) {
		for _, ok := range results {
			v.Checked(r.now, ok)
		}
	}
	r.up("nothing was checked", "1", "2")
	check(false)
	r.up("the first check decides", "1")
	check(true)
	r.up("one success is too few", "1")
	check(true)
	r.up("two are enough", "1", "2")
	check(false, false, true, false, false)
	r.up("never three failures in a row", "1", "2")
	check(false)
	r.up("three failures in a row", "1")
	if s := r.set.Status()[1]; s.Up || s.Why != "check failed" {
		t.Errorf("status %+v", s)
	}
}

// The end of what has lasted is no success, and ends no trial.
func TestLastedIsNoSuccess(t *testing.T) {
	r := newRig(t, Options{}, targets(1, 1)...)
	r.up("both are up", "1", "2")
	v := r.server(1)
	v.active.Add(2)
	for range 3 {
		r.fail(v)
	}
	r.pass(11 * time.Second)
	before := r.set.Status()[1].Requests
	v.End(r.now, Lasted)
	if s := r.set.Status()[1]; s.Why != "on trial" || s.Requests != before+1 || s.Active != 1 {
		t.Errorf("%+v", s)
	}
	if got := r.take(r.server(0)); got != v {
		t.Fatal("there is no trial")
	}
	v.End(r.now, Lasted)
	r.up("the trial goes on", "1")
	v.End(r.now, Fine)
	r.up("the trial has succeeded", "1", "2")
}

// A request that is given up ends the trial of its server only if it was the trial: others may have begun long before.
func TestGivenUpBesideATrial(t *testing.T) {
	r := newRig(t, Options{}, targets(1, 1)...)
	v := r.server(1)
	old := r.take(r.server(0))
	if old != v || r.pick.Trial() {
		t.Errorf("a server that is up has a trial: %v", r.pick.Trial())
	}
	for range 3 {
		r.fail(v)
	}
	r.pass(11 * time.Second)
	if r.take(r.server(0)) != v || !r.pick.Trial() {
		t.Error("there is no trial")
	}
	v.End(r.now, NoTrial) // the old one
	r.up("the trial goes on", "1")
	other := r.take()
	if r.pick.Trial() {
		t.Error("the other server has a trial")
	}
	other.End(r.now, Fine)
	v.End(r.now, Unknown)
	if r.take(r.server(0)) != v || !r.pick.Trial() {
		t.Error("there is no other trial")
	}
	v.End(r.now, Fine)
	r.up("it has succeeded", "1", "2")
}
