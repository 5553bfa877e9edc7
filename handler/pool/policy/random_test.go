package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"moonbridge/handler/pool/listen"
)

// Spans that options are made of, from off to longer than anything lasts.
var oddSpans = []time.Duration{0, 1, time.Millisecond, 10 * time.Millisecond, 250 * time.Millisecond, 2 * time.Second,
	time.Minute, time.Hour, 87840 * time.Hour}

func oddOptions(r *rand.Rand) listen.Options {
	span := func() time.Duration { return oddSpans[r.IntN(len(oddSpans))] }
	o := listen.Options{ForkDelay: span(), ForkErrorDelay: span(), ExitDelay: span(), MaxFork: 1 + r.IntN(12)}
	if r.IntN(3) == 0 {
		o.IdleTimeout = span()
		// Otherwise there would be too much to simulate.
		for _, d := range []*time.Duration{&o.ForkDelay, &o.ForkErrorDelay, &o.ExitDelay} {
			*d = min(*d, max(10*o.IdleTimeout, 2*time.Second))
		}
	}
	switch r.IntN(8) {
	case 0:
		o.MaxFork = 1
	case 1:
		o.MaxFork = 40
	}
	o.MinFork, o.PreFork = r.IntN(o.MaxFork+1), r.IntN(o.MaxFork+1)
	return o
}

func oddWorld(s *sim, r *rand.Rand) {
	span := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) + time.Millisecond }
	s.boot, s.serve, s.finish = span(200*time.Millisecond), span(100*time.Millisecond), span(100*time.Millisecond)
	if r.IntN(4) == 0 {
		s.serve = span(20 * time.Second)
	}
	if r.IntN(3) == 0 {
		s.limit = 1 + r.IntN(100)
	}
}

// settle lets the time pass that a pool needs to reach its resting size, when nothing is wrong and nothing comes.
func (s *sim) settle() {
	o := s.o
	s.run(startPause(max(o.ForkErrorDelay, startPauseMax), 1) + s.boot)
	for range max(o.MinFork, o.PreFork) + 2 {
		s.run(o.ForkDelay + lastsLong + s.boot + s.serve + s.finish)
	}
	for range o.MaxFork + 1 {
		s.run(o.ExitDelay + s.boot + time.Second)
	}
}

// Everything goes wrong at any time, with any options. There are never too many workers, none is forked when
// that is not allowed, and when it is over the pool serves, and returns to its resting size.
func TestPolicyAtRandom(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := newSim(t, oddOptions(r))
			oddWorld(s, r)
			s.wakes()
			for range 40 {
				s.mishap(r)
				s.run(time.Duration(r.Int64N(int64(10*time.Millisecond) << r.IntN(11))))
			}
			s.failing, s.noFork, s.clients = false, false, 0
			if s.noServer {
				s.newForkServer()
			}
			s.limit = 0
			s.settle()
			rest := max(s.o.MinFork, s.o.PreFork)
			least := rest
			if s.o.IdleTimeout > 0 {
				least = min(rest, s.o.MinFork) // spare workers come and go, those with successors count as spare
				if least == s.o.MaxFork {
					least-- // where there is no room one goes first
				}
			}
			if n := s.live(); n > rest || n < least {
				t.Errorf("%v: %d workers at rest, want %d to %d; options %+v, %+v", s, n, least, rest, s.o, s.policy)
			}
			s.clients = 1
			s.run(s.boot + 2*SampleEvery)
			for range 100 { // with idle_timeout next to nothing, it takes luck
				if s.inside() == 0 {
					s.run(s.boot)
				}
			}
			if s.refused || s.inside() == 0 && s.o.IdleTimeout == 0 {
				t.Errorf("%v: no worker serves; options %+v, %+v", s, s.o, s.policy)
			}
		})
	}
}

// wakes has a rule that the policy does not ask to be asked all the time.
func (s *sim) wakes() {
	from, looks := s.now, 0
	s.rules = func() {
		if s.now.Sub(from) < time.Second {
			return
		}
		events := int64(4*(s.forks+s.boots+s.ends)) + int64(s.now.Sub(from)/SampleEvery)
		if int64(s.looks-looks) > 1000+events {
			s.t.Fatalf("%v: %d looks in %v", s, s.looks-looks, s.now.Sub(from))
		}
		from, looks = s.now, s.looks
	}
}

// mishap changes the world.
func (s *sim) mishap(r *rand.Rand) {
	var victim *simWorker
	if n := len(s.workers); n > 0 {
		victim = s.workers[r.IntN(n)]
	}
	switch r.IntN(12) {
	case 0:
		s.failing = !s.failing
	case 1:
		s.noFork = !s.noFork
	case 2:
		if s.noServer {
			s.newForkServer()
		} else {
			s.noServer = true
		}
	case 3:
		if victim != nil {
			s.die(victim)
		}
	case 4:
		for len(s.workers) > 0 {
			s.die(s.workers[0])
		}
	case 5:
		for _, w := range s.workers {
			w.stale = true
		}
		s.kicked = true
	case 6:
		if victim != nil {
			victim.leaving = victim.state.Serving()
			s.kicked = true
		}
	case 7:
		s.clients = 0
	case 8:
		s.clients = r.IntN(4 * s.o.MaxFork)
	default:
		s.clients = r.IntN(s.o.MaxFork + 1)
	}
}

// newForkServer ends a time without one. The workers of the old one are replaced.
func (s *sim) newForkServer() {
	s.noServer = false
	s.policy.Renewed()
	for _, w := range s.workers {
		w.stale = true
	}
	s.kicked = true
}

// Workers are replaced, all at the same time, again and again, under any load: one serves at every moment.
func TestPolicyRecyclesAtRandom(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		o := oddOptions(r)
		o.MaxFork = max(o.MaxFork, 2)
		o.MinFork = max(o.MinFork, 1)
		s := newSim(t, o)
		oddWorld(s, r)
		s.rules = func() {
			if n := s.tally(); s.served && n[Idle]+n[Busy] == 0 {
				t.Fatalf("seed %d: %v: no worker serves; options %+v, %+v", seed, s, o, s.policy)
			}
		}
		for range 30 {
			if s.clients = r.IntN(2 * o.MaxFork); r.IntN(2) == 0 {
				for _, w := range s.workers {
					w.stale = true
				}
				s.kicked = true
			}
			s.run(time.Duration(r.Int64N(5e9)))
		}
	}
}
