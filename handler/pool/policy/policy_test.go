package policy

import (
	"slices"
	"testing"
	"time"

	"moonbridge/handler/pool/listen"
)

func defaults(pre, least, most int) listen.Options {
	o := listen.Defaults()
	o.PreFork, o.MinFork, o.MaxFork = pre, least, most
	return o
}

// While workers fail to start, fewer and fewer are tried, and no exchange is made to wait. When they start again, the pool is
// complete at once.
func TestPolicyBirthsFail(t *testing.T) {
	for _, at := range []string{"in prepare", "at the fork"} {
		t.Run(at, func(t *testing.T) {
			s := newSim(t, defaults(1, 4, 16))
			s.failing, s.noFork = at == "in prepare", at != "in prepare"
			s.clients = 3
			s.run(s.boot + time.Millisecond)
			s.rules = func() {
				if s.waiting() > 0 {
					t.Fatalf("%v: an exchange waits", s)
				}
			}
			before := s.looks
			s.run(time.Hour)
			if tries := s.looks - before; tries < 100 || tries > 300 { // two looks for each, or one
				t.Errorf("%d looks in an hour with a pause of up to %v", tries, startPauseMax)
			}
			s.rules = nil
			s.failing, s.noFork = false, false
			s.run(startPauseMax + 3*s.boot)
			if n := s.live(); n < 4 || s.refused || s.inside() == 0 {
				t.Errorf("%v: not whole again", s)
			}
		})
	}
}

func TestBirthPause(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		delay  time.Duration
		series int
		want   time.Duration
	}{
		{2 * s, 1, 2 * s}, {2 * s, 2, 4 * s}, {2 * s, 4, 16 * s}, {2 * s, 5, startPauseMax}, {2 * s, 1e9, startPauseMax},
		{0, 1, startPauseMin}, {0, 2, 2 * startPauseMin}, {0, 1e9, startPauseMax},
		{3600 * s, 1, 3600 * s}, {3600 * s, 7, 3600 * s},
	} {
		if got := startPause(c.delay, c.series); got != c.want {
			t.Errorf("startPause(%v, %d) = %v, want %v", c.delay, c.series, got, c.want)
		}
	}
}

// A pool that only forks on demand takes exchanges again when the pause after a failure is over: otherwise there would never
// be a demand.
func TestPolicyRecoversWithoutMinimum(t *testing.T) {
	s := newSim(t, defaults(0, 0, 4))
	s.failing, s.clients = true, 1
	s.run(time.Second)
	if !s.refused {
		t.Fatalf("%v: exchanges are taken after a failure", s)
	}
	s.clients, s.failing = 0, false
	s.run(time.Minute)
	if s.refused {
		t.Fatalf("%v: exchanges are refused for ever", s)
	}
	s.clients = 1
	s.run(time.Second)
	if s.inside() != 1 {
		t.Errorf("%v: no worker serves", s)
	}
}

// At max_fork the last worker that serves does not make room for its successor while another one boots, or fails to.
func TestPolicyKeepsTheLastOne(t *testing.T) {
	for _, failing := range []bool{false, true} {
		s := newSim(t, defaults(1, 2, 2))
		s.run(time.Second)
		s.boot, s.failing, s.kicked = 5*time.Second, failing, true
		for _, w := range s.workers {
			w.stale = true
		}
		s.rules = func() {
			if n := s.tally(); n[Idle]+n[Busy] == 0 {
				t.Fatalf("%v: no worker serves", s)
			}
		}
		s.run(time.Minute)
		s.failing = false
		s.run(time.Minute)
		if n := s.tally(); n[Idle] != 2 || s.workers[0].stale || s.workers[1].stale {
			t.Errorf("%v: not replaced: %+v %+v", s, s.workers[0], s.workers[1])
		}
	}
}

// The last workers are not ended for being idle, or to make room, while none can be forked.
func TestPolicyKeepsWhatCannotBeReplaced(t *testing.T) {
	for _, why := range []string{"no fork server", "no fork"} {
		o := defaults(1, 2, 2)
		o.IdleTimeout = 10 * time.Second
		s := newSim(t, o)
		s.run(time.Second)
		s.noServer, s.noFork = why == "no fork server", why == "no fork"
		s.run(time.Hour)
		n := s.tally()
		if why == "no fork" && n[Idle] < 1 || why == "no fork server" && n[Idle] < 2 {
			t.Errorf("%s: %v", why, s)
		}
		s.noServer, s.noFork = false, false
		s.policy.Renewed()
		s.kicked = true
		s.run(time.Second)
		if n := s.live(); n < 1 || s.boots < 3 {
			t.Errorf("%s is over: %v, %d boots", why, s, s.boots)
		}
	}
}

// Workers that die are replaced at once, spare ones not: as many as there were come back under load in no time.
func TestPolicyReplacesTheDeadAtOnce(t *testing.T) {
	s := newSim(t, defaults(1, 2, 16))
	s.clients = 12
	s.run(time.Minute)
	if s.live() < 13 {
		t.Fatalf("%v: want 12 and a spare one", s)
	}
	for range 8 {
		s.die(s.workers[0])
	}
	s.run(s.boot + 3*time.Millisecond)
	if n := s.tally(); n[Idle]+n[Busy] < 12 {
		t.Errorf("%v: not replaced at once", s)
	}
	// At rest they are not missed.
	s.clients = 0
	s.run(time.Second)
	for s.live() > 5 {
		s.die(s.workers[0])
	}
	forks := s.forks
	s.run(time.Second)
	if s.forks != forks {
		t.Errorf("%v: replaced although there are enough", s)
	}
}

// Workers that take long to start do not make a queue wait for one after the other.
func TestPolicyGrowsDuringLongBirths(t *testing.T) {
	s := newSim(t, defaults(1, 1, 9))
	s.run(time.Second)
	s.boot, s.serve, s.clients = 5*time.Second, time.Hour, 9
	s.run(lastsLong + 8*s.o.ForkDelay + s.boot)
	if n := s.tally(); n[Busy] != 9 {
		t.Errorf("%v: want 9 busy", s)
	}
}

// Workers that leave by their own decision are replaced one for one.
func TestPolicyWorkersLeave(t *testing.T) {
	s := newSim(t, defaults(0, 0, 4))
	s.clients = 4
	s.run(10 * time.Second)
	for range 100 {
		for _, w := range s.workers {
			w.leaving = w.state.Serving()
		}
		s.run(100 * time.Millisecond)
		if s.live() == 0 {
			t.Fatalf("%v: no worker is there", s)
		}
	}
	s.run(s.boot)
	if s.live() != 4 {
		t.Errorf("%v: want 4", s)
	}
}

// After a failure one worker is tried before the others.
func TestPolicyTries(t *testing.T) {
	s := newSim(t, defaults(2, 8, 8))
	s.failing = true
	s.run(s.boot + time.Millisecond)
	if s.forks != 8 {
		t.Fatalf("%v: %d forks, want 8: nothing had failed yet", s, s.forks)
	}
	s.rules = func() {
		if n := s.tally(); n[Booting] > 1 {
			t.Fatalf("%v: more than a trial", s)
		}
	}
	s.run(10 * time.Minute)
	s.failing = false
	s.rules = nil
	s.run(startPauseMax + 3*s.boot)
	if n := s.tally(); n[Idle] != 8 {
		t.Errorf("%v: want 8 idle", s)
	}
}

// Spare workers come one after the other, with fork_delay between them, whatever is asked of the pool.
func TestPolicyForkDelay(t *testing.T) {
	o := defaults(4, 1, 64)
	o.ForkDelay = 2 * time.Second
	s := newSim(t, o)
	s.run(time.Second)
	begin, had := s.now, s.forks
	s.clients = 100
	s.rules = func() {
		if n := s.forks - had; n > 1+int(s.now.Sub(begin)/o.ForkDelay) {
			t.Fatalf("%v: %d forks in %v", s, n, s.now.Sub(begin))
		}
	}
	s.run(time.Minute)
	if n := s.forks - had; n < 28 {
		t.Errorf("%v: only %d forks in a minute", s, n)
	}
}

// With a short fork_delay, a pool for which exchanges wait doubles: it follows a load within a second.
func TestPolicyDoubles(t *testing.T) {
	s := newSim(t, defaults(1, 2, 64))
	s.run(time.Second)
	s.serve, s.clients = time.Hour, 40
	s.run(lastsLong + 4*s.o.ForkDelay + 2*s.boot + 2*SampleEvery)
	if n := s.tally(); n[Busy] != 40 {
		t.Errorf("%v: want 40 busy", s)
	}
	if n := s.live(); n > 64 {
		t.Errorf("%v: more than max_fork", s)
	}
}

// A booting worker does not make another one superfluous: it may never serve.
func TestPolicySurplus(t *testing.T) {
	o := defaults(0, 1, 2)
	o.ExitDelay = 0
	c := &Census{}
	c.Count(Member{State: Idle})
	c.Count(Member{State: Booting})
	var y Policy
	if d := y.Decide(&o, time.Unix(1e9, 0), c); len(d.End) > 0 {
		t.Errorf("%+v", d)
	}
	c.Reset()
	c.Count(Member{State: Idle})
	c.Count(Member{State: Gone})
	if d := y.Decide(&o, time.Unix(1e9, 0), c); len(d.End) > 0 {
		t.Errorf("%+v", d)
	}
}

// Single decisions, of a pool that begins.
func TestPolicyDecides(t *testing.T) {
	now := time.Unix(1e9, 0)
	none := defaults(1, 1, 4)
	none.ForkDelay, none.ExitDelay = 0, 0
	for _, c := range []struct {
		name    string
		o       listen.Options
		waiting int
		members []Member
		fork    int
		end     []int
		next    time.Duration // -1: none
	}{
		{"the first worker is the spare one", defaults(1, 1, 4), 0, nil, 1, nil, -1},
		{"not at once, even without fork_delay", none, 1, []Member{{State: Busy}}, 0, nil, lastsShort},
		{"a queue", defaults(0, 1, 4), 1, []Member{{State: Busy}}, 0, nil, lastsLong},
		{"a queue at max_fork", defaults(0, 1, 1), 1, []Member{{State: Busy}}, 0, nil, -1},
		{"on demand", defaults(0, 0, 4), 9, nil, 1, nil, lastsLong},
		{"no demand", defaults(0, 0, 4), 0, nil, 0, nil, -1},
		{"the last of those that are too many", none, 0, []Member{{State: Idle}, {State: Idle}, {State: Busy}}, 0, []int{1}, -1},
		{"the stale one of them", none, 0, []Member{{State: Idle, Stale: true}, {State: Idle}, {State: Idle}, {State: Draining}},
			0, []int{0}, 0},
	} {
		var y Policy
		var n Census
		n.Waiting = c.waiting
		for _, m := range c.members {
			n.Count(m)
		}
		d := y.Decide(&c.o, now, &n)
		next := time.Duration(-1)
		if !d.Next.IsZero() {
			next = d.Next.Sub(now)
		}
		if d.Fork != c.fork || !slices.Equal(d.End, c.end) || len(d.Replace) > 0 || next != c.next {
			t.Errorf("%s: %+v, next after %v", c.name, d, next)
		}
	}
}
