package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		target Target
		want   error
	}{
		{Target{Addr: "10.0.0.1:80"}, nil},
		{Target{Addr: "[::1]:80", Weight: 1000}, nil},
		{Target{Addr: "unix:/run/app.sock"}, nil},
		{Target{Addr: "unix:"}, ErrAddress},
		{Target{Addr: "example.com:80"}, ErrAddress},
		{Target{Addr: "10.0.0.1"}, ErrAddress},
		{Target{Addr: "10.0.0.1:0"}, ErrAddress},
		{Target{Addr: ""}, ErrAddress},
		{Target{Addr: "10.0.0.1:80", Weight: -1}, ErrWeight},
		{Target{Addr: "10.0.0.1:80", Weight: 1001}, ErrWeight},
	} {
		if _, err := New(Options{}, tt.target); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.target, err, tt.want)
		}
	}
	if _, err := New(Options{}, targets(1)[0], targets(1)[0]); !errors.Is(err, ErrTwice) {
		t.Errorf("the same address twice: %v", err)
	}
}

func TestReplaceKeepsWhatStays(t *testing.T) {
	r := newRig(t, Options{}, targets(1, 1)...)
	first, second := r.server(0), r.server(1)
	first.begin()
	for range 3 {
		r.fail(second)
	}
	list := targets(7, 1, 1)[:]
	if err := r.set.Replace(list[2], list[0], list[1]); err != nil {
		t.Fatal(err)
	}
	if r.server(1) != first || r.server(2) != second || first.Active() != 1 || second.standing(r.now) != out {
		t.Error("targets that stay have lost their load or health")
	}
	if first.weight.Load() != 7 {
		t.Error("the new weight does not count")
	}
	if err := r.set.Replace(list[2]); err != nil {
		t.Fatal(err)
	}
	if !first.Gone() || !second.Gone() || r.server(0).Gone() {
		t.Error("the targets that are gone are not marked")
	}
	if err := r.set.Replace(Target{Addr: "nonsense"}); err == nil || len(r.set.Servers()) != 1 {
		t.Errorf("after an error (%v) there are %d targets", err, len(r.set.Servers()))
	}
}

// Another name is another server: it has to prove that name, and is sent that host. Status says the name.
func TestReplaceName(t *testing.T) {
	r := newRig(t, Options{TLS: new(tls.Config)}, Target{Addr: "10.0.0.1:443", Name: "a.example"})
	old := r.server(0)
	if err := r.set.Replace(Target{Addr: "10.0.0.1:443", Name: "b.example"}); err != nil {
		t.Fatal(err)
	}
	v := r.server(0)
	if !old.Gone() || v.Gone() || v.Host() != "b.example" || v.TLS().ServerName != "b.example" || r.set.Status()[0].Target.Name != "b.example" {
		t.Errorf("gone %v; host %q, certificate of %q, status %+v", old.Gone(), v.Host(), v.TLS().ServerName, r.set.Status()[0].Target)
	}
	if err := r.set.Replace(Target{Addr: "10.0.0.1:443", Name: "b.example", Weight: 5}); err != nil || r.server(0) != v {
		t.Error("a target that stays is another server", err)
	}
}

func TestNoTarget(t *testing.T) {
	r := newRig(t, Options{})
	if _, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrNone) {
		t.Error("an empty set:", err)
	}
	if err := r.set.Replace(targets(1)...); err != nil {
		t.Fatal(err)
	}
	if _, err := r.pick.Pick(r.now, 0, []*Server{r.take()}); !errors.Is(err, ErrNone) {
		t.Error("all were tried:", err)
	}
}

func TestSlots(t *testing.T) {
	list := targets(1, 1)
	list[0].Slots, list[1].Slots = 1, 2
	r := newRig(t, Options{}, list...)
	var taken []*Server
	for range 3 {
		taken = append(taken, r.take())
	}
	if _, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrBusy) {
		t.Error("all slots are taken:", err)
	}
	taken[1].End(r.now, Fine)
	if v := r.take(); v != taken[1] {
		t.Errorf("%s got a request, but %s has the free slot", v.Addr(), taken[1].Addr())
	}
}

// waiter is a request that waits, and answers its calls when the test says so.
type waiter struct {
	r      *rig
	ticket *Ticket
	tried  []*Server
	calls  int
	got    *Server
}

// wait makes a request that gets nothing, and waits.
func (r *rig) wait(tried ...*Server) *waiter {
	r.t.Helper()
	if _, err := r.pick.Pick(r.now, 0, tried); !errors.Is(err, ErrBusy) {
		r.t.Fatal(err)
	}
	w := &waiter{r: r, tried: tried}
	var ok bool
	if w.ticket, ok = r.pick.Wait(func() { w.calls++ }); !ok {
		r.t.Fatal("the queue is full")
	}
	return w
}

// answer makes the request look for a server.
func (w *waiter) answer() error {
	var err error
	w.got, err = w.r.pick.PickFor(w.ticket, w.r.now, 0, w.tried)
	return err
}

// called checks how often these were called.
func (r *rig) called(what string, all []*waiter, want ...int) {
	r.t.Helper()
	var got []int
	for _, w := range all {
		got = append(got, w.calls)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("%s: calls %v, want %v", what, got, want)
	}
}

func TestQueue(t *testing.T) {
	list := targets(1)
	list[0].Slots = 1
	r := newRig(t, Options{Queue: 3}, list...)
	v := r.take()
	all := []*waiter{r.wait(), r.wait(), r.wait()}
	if _, ok := r.pick.Wait(func() {}); ok {
		t.Error("the queue has room for more than its bound")
	}
	all[1].ticket.Leave()
	all[1].ticket.Leave()
	if n := r.set.Waiting(); n != 2 {
		t.Errorf("%d wait, and one has left", n)
	}
	v.End(r.now, Fine)
	r.called("a slot is free", all, 1, 0, 0)
	all = append(all, r.wait()) // one that has just come does not get it
	r.called("another has come", all, 1, 0, 0, 0)
	if err := all[0].answer(); err != nil || r.set.Waiting() != 2 {
		t.Errorf("%v, and %d wait", err, r.set.Waiting())
	}
	v.End(r.now, Fine)
	r.called("it is free again", all, 1, 0, 1, 0)
	all[2].ticket.Leave()
	r.called("the one that was called has left", all, 1, 0, 1, 1)
	if err := all[3].answer(); err != nil || r.set.Waiting() != 0 {
		t.Errorf("%v, and %d wait", err, r.set.Waiting())
	}
	v.End(r.now, Fine)
	r.take().End(r.now, Fine)
}

// However many slots become free at once, all are used: those of a Replace, and of a server that is up again.
func TestQueueFillsAllSlots(t *testing.T) {
	fill := func(r *rig, what string, all []*waiter, want int) {
		t.Helper()
		for i, w := range all {
			if got := w.calls > 0 && w.answer() == nil; got != (i < want) {
				t.Errorf("%s: request %d has a server: %v", what, i, got)
			}
		}
		if r.set.Waiting() != len(all)-want {
			t.Errorf("%s: %d wait", what, r.set.Waiting())
		}
	}
	list := targets(1)
	list[0].Slots = 1
	r := newRig(t, Options{}, list...)
	r.take()
	all := []*waiter{r.wait(), r.wait(), r.wait()}
	list[0].Slots = 3
	if err := r.set.Replace(list...); err != nil {
		t.Fatal(err)
	}
	fill(r, "two more slots", all, 2)

	for what, end := range map[string]func(v *Server, now int64){
		"End":   func(v *Server, now int64) { v.End(now, Fine) },
		"Works": (*Server).Works,
	} {
		list = targets(1, 1)
		list[0].Slots = 1
		r = newRig(t, Options{}, list...)
		for range 3 {
			r.fail(r.server(1))
		}
		r.take()
		r.pass(time.Minute)
		v := r.take()
		all = []*waiter{r.wait(), r.wait(), r.wait()}
		r.called("on trial", all, 0, 0, 0)
		end(v, r.now)
		fill(r, what, all, 3)
	}
}

// One that waits for another server than that which is free does not keep the others from that.
func TestQueuePassesOn(t *testing.T) {
	list := targets(1, 1)
	list[0].Slots, list[1].Slots = 1, 1
	r := newRig(t, Options{}, list...)
	r.take()
	r.take()
	v, w := r.server(0), r.server(1)
	all := []*waiter{r.wait(v), r.wait(v), r.wait()}
	v.End(r.now, Fine)
	r.called("one is free", all, 1, 0, 0)
	for i := range 2 {
		if err := all[i].answer(); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	}
	r.called("two have tried it", all, 1, 1, 1)
	if err := all[2].answer(); err != nil || all[2].got != v {
		t.Error(err)
	}
	w.End(r.now, Fine)
	r.called("the other one is free", all, 2, 1, 1)
	if err := all[0].answer(); err != nil || all[0].got != w {
		t.Error(err)
	}
}

// A slot that becomes free between Pick and Wait is not missed, and a server that may not be used does not count as free.
func TestQueueBetweenPickAndWait(t *testing.T) {
	list := targets(1, 1)
	list[0].Slots = 1
	r := newRig(t, Options{}, list...)
	for range 3 {
		r.fail(r.server(1))
	}
	busy := func() {
		t.Helper()
		if _, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
	v := r.take()
	first := r.wait()
	if first.calls != 0 {
		t.Error("called, although the only free server is out")
	}
	v.End(r.now, Fine)
	busy() // the slot is for the first
	first.ticket.Leave()
	called := 0
	ticket, _ := r.pick.Wait(func() { called++ }) // which has not taken it
	if called != 1 {
		t.Errorf("called %d times, want once", called)
	}
	ticket.Leave()
	v = r.take()
	busy()
	v.End(r.now, Fine)
	r.pick.Wait(func() { called++ })
	if called != 2 {
		t.Errorf("called %d times, want twice", called)
	}
}

// A slot that becomes free while the one that was called for another looks for it is not missed either.
func TestQueueBetweenPickForAndAnswer(t *testing.T) {
	list := targets(1)
	list[0].Slots = 1
	r := newRig(t, Options{}, list...)
	v := r.take()
	w := r.wait()
	v.End(r.now, Fine)
	take := func() error { _, err := r.pick.pick(r.now, 0, nil, false); return err }
	if err := take(); err != nil { // another loop is faster
		t.Fatal(err)
	}
	if err := take(); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	v.End(r.now, Fine)
	r.called("it has not answered", []*waiter{w}, 1)
	r.pick.waitOn(w.ticket, nil)
	r.called("it has", []*waiter{w}, 2)
	if err := w.answer(); err != nil {
		t.Error(err)
	}
}

// TestQueueLosesNoWake: loops take and give back the only slots, and wait for them in between. Some leave when it is their turn. None waits
// for ever.
func TestQueueLosesNoWake(t *testing.T) {
	for slots := 1; slots <= 3; slots++ {
		list := targets(1)
		list[0].Slots = slots
		s, err := New(Options{}, list...)
		if err != nil {
			t.Fatal(err)
		}
		var loops sync.WaitGroup
		for i := range slots + 1 {
			loops.Go(func() {
				pick, bell := s.Picker(i, slots+1), make(chan struct{}, 1)
				for n := range 10_000 {
					v, err := pick.Pick(1, 0, nil)
					if err != nil {
						ticket, ok := pick.Wait(func() { bell <- struct{}{} })
						if !ok {
							t.Error("the queue is full")
							return
						}
						for err != nil {
							if <-bell; n%8 == i {
								break
							}
							v, err = pick.PickFor(ticket, 1, 0, nil)
						}
						ticket.Leave()
					}
					if err == nil {
						v.End(1, Fine)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { loops.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("a loop waits although a slot is free")
		}
		if v := s.Servers()[0]; v.Active() != 0 || s.queue.calls.Load() != 0 || s.Waiting() != 0 {
			t.Errorf("left: %d requests, %d calls, %d that wait", v.Active(), s.queue.calls.Load(), s.Waiting())
		}
	}
}

// answers is a resolver with prepared answers, the last of which stays.
type answers struct {
	mu   sync.Mutex
	list [][]netip.Addr
	errs []error
	used chan struct{}
}

func (a *answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, err := a.list[0], a.errs[0]
	if len(a.list) > 1 {
		a.list, a.errs = a.list[1:], a.errs[1:]
		a.used <- struct{}{}
	}
	return found, err
}

func TestFollow(t *testing.T) {
	one, two := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	a := &answers{
		list: [][]netip.Addr{{one}, {}, nil, {one, two, two}, {one, two}},
		errs: []error{nil, nil, errors.New("no answer"), nil, nil},
		used: make(chan struct{}, 10),
	}
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := s.Follow(ctx, Target{Addr: "app.example:8080", Weight: 3}, a, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	first := s.Servers()[0]
	if first.Addr() != "10.0.0.1:8080" || first.weight.Load() != 3 {
		t.Errorf("target %s with weight %d", first.Addr(), first.weight.Load())
	}
	for range 4 {
		<-a.used
	}
	for end := time.Now().Add(time.Minute); len(s.Servers()) != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d targets", len(s.Servers()))
		}
	}
	if s.Servers()[0] != first {
		t.Error("an empty answer or an error has taken the target away")
	}
}

// lookups counts how often a name is looked up.
type lookups struct{ n atomic.Int64 }

func (l *lookups) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	l.n.Add(1)
	return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
}

// A Set that is closed does not follow its name any more, and keeps its targets.
func TestFollowEnds(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var l lookups
	if err := s.Follow(t.Context(), Target{Addr: "app.example:80"}, &l, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("in vain: ", what)
			}
		}
	}
	eventually("it is looked up again", func() bool { return l.n.Load() > 2 })
	s.Close()
	eventually("it is not looked up any more", func() bool {
		n := l.n.Load()
		time.Sleep(100 * time.Millisecond)
		return l.n.Load() == n
	})
	if !s.Closed() || len(s.Servers()) != 1 {
		t.Errorf("closed %v, %d targets", s.Closed(), len(s.Servers()))
	}
}

func TestFollowErrors(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	a := &answers{list: [][]netip.Addr{nil}, errs: []error{errors.New("no answer")}}
	for _, addr := range []string{"host", "host:x", "host:0", "host:99999", "host:80"} {
		if err := s.Follow(ctx, Target{Addr: addr}, a, time.Hour); err == nil {
			t.Errorf("%q: no error", addr)
		}
	}
}

// What has to have an end, and cannot be without pauses, has its default where a negative value makes no sense: health checks would follow
// one another without a pause, and fail at once.
func TestNegativeOptions(t *testing.T) {
	s, err := New(Options{Connect: -1, Active: &Active{Every: -1, Timeout: -1}})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.Options(); o.Connect != connectDefault || o.Active.Every != checkEveryDefault || o.Active.Timeout != checkTimeoutDefault {
		t.Errorf("%v, %+v", o.Connect, o.Active)
	}
}
