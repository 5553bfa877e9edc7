package static

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"moonbridge/handler/backend"
)

// Config is what a Static serves.
type Config struct {
	Rules []Rule
	// Next gets all requests that no file answers. nil: these are answered 404, or 405 if the method is not GET or HEAD.
	Next backend.Backend
	// Fields returns the field lines that all responses of a listener have, each with its CR LF. nil: none.
	Fields func(listener int) string

	// Fresh is how long an entry is used before it is looked up again. 0 means a second. If an entry is in use all the time, it is used
	// for up to twice as long, until the lookup has ended. A negative value: each request is looked up.
	Fresh time.Duration
	// Entries, Bytes and Descriptors bound what is kept: paths, contents of small files, and open files. 0 stands for the
	// defaults.
	Entries, Bytes, Descriptors int
	// Goroutines is how many lookups run at a time, Queue how many wait. Beyond that requests are answered 503. 0 stands for the
	// defaults.
	Goroutines, Queue int
}

const (
	freshDefault       = time.Second
	entriesDefault     = 4096
	bytesDefault       = 32 << 20
	descriptorsDefault = 512
	goroutinesDefault  = 16
	queueDefault       = 1024
)

// Static is a Backend that serves files.
type Static struct {
	rules   []*rule
	next    backend.Backend
	fields  func(listener int) string
	fresh   time.Duration
	store   *store
	lookups *lookups

	mu     sync.Mutex
	loops  []*loop
	closed bool
}

// New opens the directories of the rules. The error names the rule.
func New(c Config) (*Static, error) {
	if len(c.Rules) > RulesMax {
		return nil, fmt.Errorf("%d rules: more than %d", len(c.Rules), RulesMax)
	}
	s := &Static{
		next: c.Next, fields: c.Fields, fresh: orDefault(c.Fresh, freshDefault),
		store: newStore(bounds{
			orDefault(c.Entries, entriesDefault), orDefault(c.Bytes, bytesDefault), orDefault(c.Descriptors, descriptorsDefault),
		}),
		lookups: newLookups(orDefault(c.Goroutines, goroutinesDefault), orDefault(c.Queue, queueDefault)),
	}
	if s.fields == nil {
		s.fields = func(int) string { return "" }
	}
	for _, r := range c.Rules {
		u, err := newRule(r)
		if err != nil {
			s.closeRules()
			return nil, err
		}
		s.rules = append(s.rules, u)
	}
	sortRules(s.rules)
	for i := range s.rules[min(1, len(s.rules)):] {
		if s.rules[i].Prefix == s.rules[i+1].Prefix {
			s.closeRules()
			return nil, fmt.Errorf("%s: two rules", s.rules[i].Prefix)
		}
	}
	return s, nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

func (s *Static) closeRules() {
	for _, r := range s.rules {
		r.dir.close()
	}
}

// Attach creates the instance of the backend on loop l.
func (s *Static) Attach(l backend.Loop) (backend.LoopBackend, error) {
	lb := newLoop(s, l)
	if s.next != nil {
		next, err := s.next.Attach(l)
		if err != nil {
			return nil, err
		}
		lb.setNext(next)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, backend.ErrStopped
	}
	s.loops = append(s.loops, lb)
	l.OnTurn(lb)
	if lb.nextFiles != nil {
		return &filesLoop{lb}, nil
	}
	return lb, nil
}

// Close closes all files that are not being sent. No exchange may start any more; those in progress continue. Lookups that are
// running are waited for.
func (s *Static) Close() {
	s.mu.Lock()
	s.closed = true
	loops := s.loops
	s.loops = nil
	s.mu.Unlock()
	for _, l := range loops {
		l.on.Post(l.close)
	}
	s.lookups.wait()
	s.store.close()
	s.closeRules()
}

// refusal returns the status and the time for Retry-After with which an exchange is failed that a backend's Start has refused late.
func refusal(err error) (status int, retryAfter time.Duration) {
	switch {
	case errors.Is(err, backend.ErrHeadTooLarge):
		return 431, 0
	case errors.Is(err, backend.ErrBodyTooLarge):
		return 413, 0
	case errors.Is(err, backend.ErrQueueFull), errors.Is(err, backend.ErrNoWorker), errors.Is(err, backend.ErrStopped):
		return 503, time.Second
	}
	return 500, 0
}
