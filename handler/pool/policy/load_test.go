package policy

import (
	"fmt"
	"testing"
	"time"

	"moonbridge/handler/pool/listen"
)

// calm are the rules of a pool whose workers do not fail to start and do not die.
func (s *sim) calm() {
	s.t.Helper()
	n := s.tally()
	serving := n[Idle] + n[Busy]
	if s.served && serving == 0 && s.o.MaxFork > 1 && max(s.o.MinFork, s.o.PreFork) > 0 {
		s.t.Fatalf("%v: no worker serves", s)
	}

	least := s.o.MinFork
	if s.limit+int(s.o.IdleTimeout) > 0 && least == s.o.MaxFork {
		least-- // one at a time is replaced in its place
	}
	s.lasts(&s.lowSince, s.served && serving < least, s.boot+s.serve+s.finish, "fewer than min_fork")

	missing := n[Idle]+n[Booting] < s.o.PreFork || n[Idle] == 0 && s.waiting() > n[Booting]
	s.lasts(&s.missSince, missing && len(s.workers) < s.o.MaxFork,
		max(patienceOf(s.o), s.o.ForkDelay)+2*SampleEvery, "no worker forked")
}

// patienceOf is for how long something has to be missing until a worker is forked for it.
func patienceOf(o listen.Options) time.Duration { return min(lastsLong, max(o.ForkDelay, lastsShort)) }

// lasts fails if something has been so for longer than it may be.
func (s *sim) lasts(since *time.Time, is bool, most time.Duration, what string) {
	s.t.Helper()
	switch {
	case !is:
		*since = time.Time{}
	case since.IsZero():
		*since = s.now
	case s.now.Sub(*since) > most:
		s.t.Fatalf("%v: %s for %v", s, what, s.now.Sub(*since))
	}
}

// A pool under a load that rises and falls: none → a burst → a load that lasts → more than it can handle → none.
func TestPolicyUnderLoad(t *testing.T) {
	const s = time.Second
	const ms = time.Millisecond
	for i, c := range []struct {
		pre, min, max       int
		delay, exit, idle   time.Duration
		limit               int
		boot, serve, finish time.Duration
	}{
		{1, 2, 16, 250 * ms, 60 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms}, // the defaults
		{1, 1, 1, 250 * ms, 60 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{1, 1, 1, 250 * ms, 60 * s, 20 * s, 7, 30 * ms, 10 * ms, 5 * ms},
		{0, 0, 1, 250 * ms, 60 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{0, 0, 16, 250 * ms, 1 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{0, 0, 16, 0, 0, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{0, 2, 8, 250 * ms, 60 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{0, 2, 2, 250 * ms, 60 * s, 0, 50, 30 * ms, 10 * ms, 5 * ms},
		{2, 2, 2, 250 * ms, 60 * s, 10 * s, 50, 30 * ms, 10 * ms, 5 * ms},
		{4, 4, 4, 250 * ms, 60 * s, 0, 20, 30 * ms, 10 * ms, 5 * ms},
		{4, 0, 4, 250 * ms, 60 * s, 0, 20, 30 * ms, 10 * ms, 5 * ms},
		{4, 1, 32, 250 * ms, 10 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{8, 2, 64, 100 * ms, 1 * s, 0, 100, 30 * ms, 10 * ms, 5 * ms},
		{1, 8, 16, 3 * s, 3600 * s, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{1, 16, 16, 3 * s, 60 * s, 5 * s, 0, 30 * ms, 10 * ms, 5 * ms},
		{3, 2, 5, 1 * s, 0, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{3, 2, 5, 10 * ms, 100 * ms, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{3, 2, 5, 0, 100 * ms, 300 * ms, 10, 30 * ms, 10 * ms, 5 * ms},
		{1, 2, 16, 250 * ms, 60 * s, 30 * s, 0, 2 * s, 10 * ms, 5 * ms}, // workers that take long to start
		{4, 4, 16, 250 * ms, 60 * s, 0, 4000, 2 * s, 10 * ms, 1 * s},    // ends as well
		{1, 2, 16, 250 * ms, 60 * s, 0, 0, 30 * ms, 1 * ms, 0},
		{1, 2, 16, 250 * ms, 60 * s, 0, 0, 0, 1 * ms, 0},
		{0, 1, 200, 50 * ms, 500 * ms, 0, 0, 30 * ms, 10 * ms, 5 * ms},
		{100, 100, 100, 250 * ms, 60 * s, 3600 * s, 0, 30 * ms, 10 * ms, 5 * ms},
	} {
		o := listen.Options{PreFork: c.pre, MinFork: c.min, MaxFork: c.max, ForkDelay: c.delay, ExitDelay: c.exit, IdleTimeout: c.idle,
			ForkErrorDelay: 2 * s}
		t.Run(fmt.Sprintf("%d/pre=%d,min=%d,max=%d", i, c.pre, c.min, c.max), func(t *testing.T) {
			s := newSim(t, o)
			s.limit, s.boot, s.serve, s.finish = c.limit, c.boot, c.serve, c.finish
			s.rules = s.calm
			steppedLoad(s)
		})
	}
}

// steppedLoad puts a fresh pool under the load.
func steppedLoad(s *sim) {
	t, o := s.t, s.o
	rest := max(o.MinFork, o.PreFork)
	// step is within what time a worker is forked that is missing.
	step := max(o.ForkDelay, patienceOf(o)) + 2*SampleEvery + s.boot
	most := func(n int) time.Duration { return time.Duration(n)*step + s.boot + s.finish + time.Second }
	isLive := func(when string, least, most int) {
		t.Helper()
		if n := s.live(); n < least || n > most {
			t.Fatalf("%v: %s: %d workers, want %d to %d", s, when, n, least, most)
		}
	}

	s.run(most(rest))
	isLive("at the beginning", rest, rest)

	s.clients = rest + 3
	s.run(50 * time.Millisecond)
	s.clients = 0
	s.run(100 * time.Millisecond)
	grown := 0
	if patienceOf(o) < 50*time.Millisecond {
		grown = 2 + int(50*time.Millisecond/max(o.ForkDelay, lastsShort))
	}
	if rest == 0 {
		grown = max(grown, 1) // one is needed
	}
	isLive("after a burst", min(rest, o.MaxFork), min(rest+grown, o.MaxFork))
	s.run(time.Duration(o.MaxFork+1)*(o.ExitDelay+time.Millisecond) + time.Second)
	isLive("long after a burst", rest, rest)

	inPlace := 0 // workers that are replaced one after the other may be one fewer
	if (s.limit > 0 || o.IdleTimeout > 0) && o.MaxFork > 1 {
		inPlace = 1
	}
	s.clients = o.MaxFork/2 + 1
	s.run(most(o.MaxFork))
	want := min(s.clients+o.PreFork, o.MaxFork)
	if s.limit > 0 {
		want = min(s.clients, o.MaxFork) // those that are about to be replaced count as spare ones
	}
	isLive("under a load that lasts", want-inPlace, o.MaxFork)

	s.clients = 4*o.MaxFork + 10
	s.run(most(o.MaxFork))
	isLive("with too much to do", o.MaxFork-max(inPlace, min(s.limit, 1)), o.MaxFork)
	s.run(10 * time.Second)

	peak := s.live()
	s.clients = 0
	s.run(s.serve)
	if o.IdleTimeout == 0 && s.limit == 0 && o.ExitDelay >= 100*time.Millisecond {
		s.run(o.ExitDelay / 2)
		isLive("before exit_delay", peak, peak)
		s.run(o.ExitDelay)
		isLive("after exit_delay", min(peak, max(peak-2, rest)), max(peak-1, rest))
	}
	s.run(time.Duration(peak-rest)*(o.ExitDelay+25*time.Millisecond) + o.ExitDelay + 2*s.boot + s.finish + time.Second)
	isLive("after a long rest", rest, rest)
	looks := s.looks
	if o.IdleTimeout == 0 {
		s.run(time.Hour)
		if s.looks > looks+1 {
			t.Errorf("%d looks in an hour in which nothing happened", s.looks-looks)
		}
	}
}
