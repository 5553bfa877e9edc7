package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
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

func TestQueue(t *testing.T) {
	list := targets(1)
	list[0].Slots = 1
	r := newRig(t, Options{Queue: 3}, list...)
	v := r.take()
	var called []int
	wait := func(i int) *Ticket {
		ticket, ok := r.pick.Wait(func() { called = append(called, i) })
		if !ok {
			t.Fatal("the queue is full")
		}
		return ticket
	}
	wait(0)
	left := wait(1)
	wait(2)
	if _, ok := r.pick.Wait(func() {}); ok {
		t.Error("the queue has room for more than its bound")
	}
	if r.set.Waiting() != 3 || !left.Leave() || left.Leave() || r.set.Waiting() != 2 {
		t.Error("a ticket cannot leave")
	}
	v.End(r.now, Fine)
	if len(called) != 1 || called[0] != 0 {
		t.Fatalf("called: %v", called)
	}
	v = r.take() // another request is faster
	if _, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	r.pick.Again(func() { called = append(called, 3) })
	if len(called) != 1 {
		t.Fatalf("called: %v, although no slot is free", called)
	}
	v.End(r.now, Fine)
	r.take().End(r.now, Fine)
	if len(called) != 3 || called[1] != 3 || called[2] != 2 || r.set.Waiting() != 0 {
		t.Errorf("called: %v", called)
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
		if _, err := r.pick.Pick(r.now, 0, nil); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
	v := r.take()
	called := 0
	call := func() { called++ }
	busy()
	r.pick.Wait(call)
	if called != 0 {
		t.Error("called, although the only free server is out")
	}
	v.End(r.now, Fine)
	v = r.take()
	busy()
	v.End(r.now, Fine)
	r.pick.Wait(call)
	if called != 2 {
		t.Errorf("called %d times, want 2", called)
	}
}

// TestQueueLosesNoWake: loops take and give back the only slot, and wait for it in between. None waits for ever.
func TestQueueLosesNoWake(t *testing.T) {
	list := targets(1)
	list[0].Slots = 1
	s, err := New(Options{}, list...)
	if err != nil {
		t.Fatal(err)
	}
	var loops sync.WaitGroup
	for i := range 8 {
		loops.Go(func() {
			pick, bell := s.Picker(i, 8), make(chan struct{}, 1)
			ring := func() { bell <- struct{}{} }
			for range 2000 {
				v, err := pick.Pick(1, 0, nil)
				for again := false; err != nil; again = true {
					if again {
						pick.Again(ring)
					} else if _, ok := pick.Wait(ring); !ok {
						t.Error("the queue is full")
						return
					}
					<-bell
					v, err = pick.Pick(1, 0, nil)
				}
				v.End(1, Fine)
			}
		})
	}
	done := make(chan struct{})
	go func() { loops.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a loop waits although the slot is free")
	}
	if n := s.Servers()[0].Active(); n != 0 {
		t.Errorf("%d requests are still counted", n)
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
