package policy

import (
	"fmt"
	"testing"
	"time"

	"moonbridge/handler/pool/listen"
)

// sim is a pool without processes and without a clock. Starts, exchanges and ends of its workers take the times that are set
// here. Its clients send the next request as soon as they have an answer.
type sim struct {
	t *testing.T
	o listen.Options

	// The world. A test changes it between runs.
	clients  int           // requests that wait or are worked on
	boot     time.Duration // from the fork until it is ready
	serve    time.Duration // one exchange
	finish   time.Duration // from the last exchange to the end of the process
	limit    int           // exchanges after which a worker is stale; 0: none
	failing  bool          // workers fail to start, when their time is over
	noFork   bool          // forks fail at once
	noServer bool          // no fork server

	now     time.Time
	policy  Policy
	c       Census
	wake    time.Time // that the policy has asked for
	tick    time.Time // of the loops, while exchanges are in progress
	kicked  bool      // something has happened to the pool
	refused bool
	workers []*simWorker

	forks, boots, ends, looks, vain int
	served                          bool      // a worker has served
	lowSince                        time.Time // since when fewer than min_fork serve
	missSince                       time.Time // since when a worker is missing and none was forked
	rules                           func()    // checked at every moment, besides those that always hold
}

type simWorker struct {
	state     State
	due       time.Time // ready, finished with its exchange, or gone
	idleFrom  time.Time
	exchanges int
	inside    bool // Draining: at an exchange until due
	failing   bool
	stale     bool
	leaving   bool
	told      bool
	successor *simWorker
	replaces  *simWorker
}

func newSim(t *testing.T, o listen.Options) *sim {
	return &sim{t: t, o: o, now: time.Unix(1e9, 0), wake: time.Unix(1e9, 0),
		boot: 30 * time.Millisecond, serve: 10 * time.Millisecond, finish: 5 * time.Millisecond}
}

// run lets time pass.
func (s *sim) run(span time.Duration) {
	s.turn()
	for end := s.now.Add(span); ; {
		next := end
		soon := func(t time.Time) {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		soon(s.wake)
		soon(s.tick)
		for _, w := range s.workers {
			if w.state != Idle {
				soon(w.due)
			}
		}
		if next.After(s.now) {
			s.now = next
		}
		if !s.now.Before(end) {
			return
		}
		s.turn()
	}
}

// turn does what is due now.
func (s *sim) turn() {
	kicked := s.kicked
	s.kicked = false
	for _, w := range append([]*simWorker{}, s.workers...) {
		if w.state != Idle && !s.now.Before(w.due) {
			kicked = s.happen(w) || kicked
		}
	}
	s.hand()
	if s.tick.IsZero() && s.busy() {
		s.tick = s.now.Add(SampleEvery)
	}
	if !s.tick.IsZero() && !s.now.Before(s.tick) {
		s.tick, kicked = time.Time{}, true
		if s.busy() {
			s.tick = s.now.Add(SampleEvery)
		}
	}
	own := !s.wake.IsZero() && !s.now.Before(s.wake)
	if kicked || own {
		done := s.look()
		if own && !kicked && !done {
			s.vain++
		} else {
			s.vain = 0
		}
		if s.vain > s.o.MaxFork+3 { // each worker may have a time of its own when it has been idle for too long
			s.t.Fatalf("%v: the policy asks to be asked, and does nothing: %+v", s, s.policy)
		}
	}
	s.check()
}

func (s *sim) busy() bool { return s.inside() > 0 || s.waiting() > 0 }

// inside is how many requests are worked on.
func (s *sim) inside() (n int) {
	for _, w := range s.workers {
		if w.state == Busy || w.inside {
			n++
		}
	}
	return n
}

func (s *sim) waiting() int {
	if s.refused {
		return 0
	}
	return max(0, s.clients-s.inside())
}

// happen does what was due of a worker, and reports whether the supervisor hears of it.
func (s *sim) happen(w *simWorker) bool {
	switch w.state {
	case Booting:
		if w.failing {
			s.die(w)
			return true
		}
		w.state, w.idleFrom, s.served = Idle, s.now, true
		s.boots++
		s.policy.Ready()
		s.refused = false
		if w.replaces != nil {
			s.drain(w.replaces)
			w.replaces = nil
		}
		return true
	case Busy:
		w.exchanges++
		w.state, w.idleFrom = Idle, s.now
		w.stale = w.stale || s.limit > 0 && w.exchanges >= s.limit
		return false
	case Draining:
		if w.inside {
			w.inside, w.due = false, s.now.Add(s.finish)
			return false
		}
		s.remove(w)
		return true
	}
	return false
}

// hand gives waiting requests to idle workers.
func (s *sim) hand() {
	n := s.waiting()
	for _, w := range s.workers {
		if n > 0 && w.state == Idle && !w.leaving {
			w.state, w.due = Busy, s.now.Add(s.serve)
			n--
		}
	}
}

func (s *sim) drain(w *simWorker) {
	if !w.state.Serving() {
		return
	}
	w.told = true
	if w.inside = w.state == Busy; !w.inside {
		w.due = s.now.Add(s.finish)
	}
	w.state = Draining
}

// die ends a worker at once, whatever it is at.
func (s *sim) die(w *simWorker) {
	if w.state == Booting {
		s.policy.Failed(&s.o, s.now)
	}
	s.remove(w)
	if !w.told && w.successor == nil && (w.replaces == nil || !w.replaces.state.Serving()) {
		s.policy.Lost()
	}
	s.kicked = true
}

func (s *sim) remove(w *simWorker) {
	for i, v := range s.workers {
		if v == w {
			s.workers = append(s.workers[:i], s.workers[i+1:]...)
			break
		}
	}
	if w.replaces != nil {
		w.replaces.successor = nil
	}
	w.state = Gone
	s.ends++
}

// look is what the supervisor does. It reports whether anything was done.
func (s *sim) look() bool {
	s.looks++
	s.c.Reset()
	s.c.Waiting, s.c.NoForkServer = s.waiting(), s.noServer
	who := append([]*simWorker{}, s.workers...)
	for _, w := range who {
		s.c.Count(Member{State: w.state, IdleFrom: w.idleFrom, Stale: w.stale, Leaving: w.leaving, Followed: w.successor != nil})
	}
	d := s.policy.Decide(&s.o, s.now, &s.c)
	s.wake = d.Next
	for _, i := range d.End {
		if !who[i].state.Serving() {
			s.t.Errorf("%v: the end of a worker that is %v", s, who[i].state)
		}
		s.drain(who[i])
	}
	for range d.Fork {
		s.fork(nil)
	}
	for _, i := range d.Replace {
		if who[i].successor != nil || !who[i].state.Serving() {
			s.t.Errorf("%v: a successor of a worker that is %v and has %v", s, who[i].state, who[i].successor)
		}
		s.fork(who[i])
	}
	if soon := s.now.Add(time.Millisecond); !s.wake.IsZero() && s.wake.Before(soon) {
		s.wake = soon
	}
	s.refused = s.policy.Refuses(&s.c, s.now)
	return d.Fork+len(d.Replace)+len(d.End) > 0
}

func (s *sim) fork(replaces *simWorker) {
	if s.noFork {
		s.policy.Failed(&s.o, s.now)
		if s.wake.IsZero() || s.policy.Hold.Before(s.wake) {
			s.wake = s.policy.Hold
		}
		return
	}
	if s.now.Before(s.policy.Hold) {
		s.t.Errorf("%v: a fork in the pause after a failure", s)
	}
	if s.noServer {
		s.t.Errorf("%v: a fork without a fork server", s)
	}
	s.forks++
	s.missSince = time.Time{}
	w := &simWorker{due: s.now.Add(s.boot), failing: s.failing, replaces: replaces}
	if replaces != nil {
		replaces.successor = w
	}
	s.workers = append(s.workers, w)
}

// tally counts workers by state.
func (s *sim) tally() (n [NumStates]int) {
	for _, w := range s.workers {
		n[w.state]++
	}
	return n
}

// live is how many workers the pool has: of one and its successor only one counts.
func (s *sim) live() (n int) {
	for _, w := range s.workers {
		if w.state == Booting || w.state.Serving() && w.successor == nil {
			n++
		}
	}
	return n
}

// check is what holds in every moment.
func (s *sim) check() {
	s.t.Helper()
	if len(s.workers) > s.o.MaxFork {
		s.t.Fatalf("%v: more than max_fork", s)
	}
	if s.policy.owed < 0 || s.policy.owed > 2*s.o.MaxFork+1 {
		s.t.Fatalf("%v: owes %d workers", s, s.policy.owed)
	}
	if s.rules != nil {
		s.rules()
	}
}

// String says who is there, for messages.
func (s *sim) String() string {
	n := s.tally()
	return fmt.Sprintf("after %v, %d clients, %d waiting: %d booting, %d idle, %d busy, %d draining of %d",
		s.now.Sub(time.Unix(1e9, 0)), s.clients, s.waiting(), n[Booting], n[Idle], n[Busy], n[Draining], s.o.MaxFork)
}
