package proxy

import (
	"math"
	"testing"
	"time"

	"moonbridge/handler/upstream"
)

// slotted is a target with so many slots.
func slotted(n int) upstream.Target { return upstream.Target{Addr: "10.0.0.1:80", Slots: n} }

// queued begins a request that waits, or is sent when run was called.
func (r *fakeRig) queued() *fakeExchange {
	r.t.Helper()
	x := &fakeExchange{t: r.t, takes: math.MaxInt}
	r.startOn(x, get, "", false)
	return x
}

// served checks which of these have a target.
func served(t *testing.T, what string, all []*fakeExchange, want ...bool) {
	t.Helper()
	for i, x := range all {
		if e := x.running.(*exchange); (e.waiting == nil && e.link != nil) != want[i] {
			t.Errorf("%s: request %d has a target: %v", what, i, !want[i])
		}
	}
}

// A slot that becomes free is for the request that waits, although another one comes in the same batch of events.
func TestSlotIsForTheOldest(t *testing.T) {
	r := newFakeRigOf(t, Config{}, upstream.Options{}, slotted(1))
	_, c := r.start(get, math.MaxInt, "", false)
	all := []*fakeExchange{r.queued()}
	r.l.run()
	served(t, "the slot is taken", all, false)
	c.gives(ok("x"), false)
	all = append(all, r.queued())
	r.l.run()
	served(t, "the slot is free", all, true, false)
	c.gives(ok("x"), false)
	r.l.run()
	served(t, "it is free again", all[1:], true)
	c.gives(ok("x"), false)
	r.checkOver()
}

// All slots that become free at once are used.
func TestSlotsAreFilled(t *testing.T) {
	r := newFakeRigOf(t, Config{}, upstream.Options{}, slotted(1))
	x, _ := r.start(get, math.MaxInt, "", false)
	all := []*fakeExchange{x, r.queued(), r.queued(), r.queued(), r.queued()}
	r.l.run()
	served(t, "one slot", all, true, false, false, false, false)
	if err := r.set.Replace(slotted(4)); err != nil {
		t.Fatal(err)
	}
	r.l.run()
	served(t, "four slots", all, true, true, true, true, false)
	all[1].running.Cancel() // of one that has a slot
	r.l.run()
	served(t, "one has ended", all[2:], true, true, true)
	for _, x := range append(all[2:], x) {
		x.running.Cancel()
	}
	r.checkOver()
}

// A request that has waited for too long gets a target that has become free without a word: one that was left out for some time.
func TestLastLook(t *testing.T) {
	for _, free := range []bool{true, false} {
		r := newFakeRigOf(t, Config{}, upstream.Options{Passive: upstream.Passive{Fails: 1}}, slotted(1), upstream.Target{Addr: "10.0.0.2:80"})
		first, _ := r.start(get, math.MaxInt, "", false)
		v, err := r.set.Picker(0, 1).Pick(r.l.Now(), 0, r.set.Servers()[:1])
		if err != nil {
			t.Fatal(err)
		}
		v.End(r.l.Now(), upstream.Failed)
		x := r.queued()
		r.l.run()
		served(t, "one has no slot, one is out", []*fakeExchange{x}, false)
		if free {
			r.l.now += 11 * time.Second
		}
		r.l.timers[len(r.l.timers)-1].fire()
		r.l.run()
		if free {
			served(t, "the time is over", []*fakeExchange{x}, true)
			x.running.Cancel()
		} else if x.status != 503 {
			t.Errorf("status %d", x.status)
		}
		first.running.Cancel()
	}
}
