package upstream

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Set is the targets of one service. All loops share it, and any goroutine may call its methods.
type Set struct {
	o        Options  // resolved
	observer Observer // o.Balance, or nil if it is none

	current atomic.Pointer[members]
	queue   queue

	mu     sync.Mutex   // of Replace
	filled bool         // there were targets before
	clock  atomic.Int64 // the time that a loop told last; 0: never
	ahead  atomic.Int64 // how far that was ahead of elapsed

	elapsed func() int64 // a monotonic clock

	checker claim // of the health checks
	ending  sync.Once
	ended   chan struct{} // closed by Close
}

// members are the servers of a Set at one time. They do not change: Replace makes others.
type members struct {
	primary, backup []*Server
	all             []*Server // primary, then backup
}

// New makes a Set. It may be empty, for Replace or Follow to fill.
func New(o Options, targets ...Target) (*Set, error) {
	start := time.Now()
	s := &Set{o: o.resolve(), ended: make(chan struct{}), elapsed: func() int64 { return int64(time.Since(start)) }}
	s.observer, _ = s.o.Balance.(Observer)
	s.current.Store(new(members))
	s.queue.max = int64(s.o.Queue)
	if err := s.Replace(targets...); err != nil {
		return nil, err
	}
	return s, nil
}

// Options returns the options of the Set with the defaults filled in. What a negative value has switched off is 0.
func (s *Set) Options() *Options { return &s.o }

// Replace makes these the targets. A target that stays, by its Addr and Name, keeps its connections, health and load. The others drain:
// they get no new request, and their connections are closed when they are unused. If there is an error, nothing has changed.
func (s *Set) Replace(targets ...Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	next := new(members)
	for _, t := range targets {
		t, to, err := t.check()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(next.all, func(v *Server) bool { return v.addr == t.Addr }) {
			return fmt.Errorf("target %q: %w", t.Addr, ErrTwice)
		}
		v := old.find(t)
		if v == nil {
			v = newServer(s, t, to)
		}
		next.all = append(next.all, v)
	}
	for i, v := range next.all {
		t, _, _ := targets[i].check()
		if s.filled && old.find(t) == nil {
			v.upSince.Store(s.now())
		}
		v.setTarget(t)
		if t.Backup {
			next.backup = append(next.backup, v)
		} else {
			next.primary = append(next.primary, v)
		}
	}
	next.all = slices.Concat(next.primary, next.backup)
	s.filled = s.filled || len(next.all) > 0
	s.current.Store(next)
	old.retire(next)
	s.queue.becomesFree()
	return nil
}

// now is the time by the clock of the loops, as far as they have told it. 1 stands for a time before that.
func (s *Set) now() int64 {
	if s.clock.Load() == 0 {
		return 1
	}
	return s.ahead.Load() + s.elapsed()
}

// tell notes the time, not so often that loops would get in each other's way.
func (s *Set) tell(now int64) {
	if now-s.clock.Load() > int64(time.Millisecond) {
		s.ahead.Store(now - s.elapsed())
		s.clock.Store(now)
	}
}

// find returns the server for a target, or nil. Another name is another server: it has to prove that name, and its connections belong to it.
func (m *members) find(t Target) *Server {
	for _, v := range m.all {
		if v.addr == t.Addr && v.name == t.Name {
			return v
		}
	}
	return nil
}

// retire marks the servers that are not among the next ones.
func (m *members) retire(next *members) {
	for _, v := range m.all {
		if !slices.Contains(next.all, v) {
			v.gone.Store(true)
		}
	}
}

// Servers returns the servers of the current targets. They must not be changed.
func (s *Set) Servers() []*Server { return s.current.Load().all }

// Close ends what a Set does by itself: health checks, and lookups of a name. It is for a Set that gets no requests any more. What is
// known of its targets stays as it is, for those that are still in progress.
func (s *Set) Close() { s.ending.Do(func() { close(s.ended) }) }

// Closed reports whether Close was called.
func (s *Set) Closed() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// claim is who makes the health checks of a Set.
type claim struct {
	mu sync.Mutex
	by any   // nil: nobody has yet
	at int64 // when the last round began
}

// claimRounds is how many rounds of health checks may be missing before another loop makes them.
const claimRounds = 3

// ClaimChecks reports whether by, which is comparable, makes the round of health checks that is due now: it is the one that has made the last
// one, or there was none for the time of three. Whoever uses the Set asks each time when a round is due: the engine of the one that makes them
// may end before the others.
func (s *Set) ClaimChecks(by any, now int64) bool {
	c := &s.checker
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by != nil && c.by != by && now-c.at <= claimRounds*int64(s.o.Active.Every) {
		return false
	}
	c.by, c.at = by, now
	return true
}
