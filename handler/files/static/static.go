package static

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Config is what a Static serves.
type Config struct {
	Rules []Rule

	// Fresh is how long an entry is used before it is looked up again. 0 means a second. If an entry is in use all the time, it is used
	// for up to twice as long, until the lookup has ended. A negative value: each request is looked up.
	Fresh time.Duration
	// Entries, Bytes and Descriptors bound what is kept: paths, contents of small files, and open files. 0 stands for the
	// defaults.
	Entries, Bytes, Descriptors int
	// Encode returns a file in a coding, or nil if that would be no smaller. It is called on goroutines, for one file at a time.
	// Compressed versions are kept with the contents of small files, within Bytes. nil: nothing is compressed.
	Encode func(c httpparse.Coding, content []byte) []byte
	// Goroutines is how many lookups of a rule run at a time, Queue how many wait. Beyond that requests are answered 503. 0 stands for
	// the defaults.
	Goroutines, Queue int
	// Wait is how long a request waits for a lookup until it is answered 503. 0 means 10 seconds.
	Wait time.Duration
}

const (
	freshDefault       = time.Second
	entriesDefault     = 4096
	bytesDefault       = 32 << 20
	descriptorsDefault = 512
	goroutinesDefault  = 16
	queueDefault       = 1024
	waitDefault        = 10 * time.Second
)

// descriptorsShare is the part of the process's descriptors that files may have by default, if that is less: connections need them.
const descriptorsShare = 16

// openFilesMax is how many files this process may have open.
func openFilesMax() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return int(min(uint64(limit.Cur), 1<<30))
}

// Static serves files: its backends answer requests.
type Static struct {
	rules   []*rule
	fresh   time.Duration
	wait    time.Duration
	store   *store
	lookups *lookups

	encode   func(c httpparse.Coding, content []byte) []byte // nil: nothing is compressed
	encoding atomic.Bool                                     // a file is being compressed

	mu     sync.Mutex
	loops  []*loop // of all backends
	closed bool
}

// Backend returns a backend that serves the files. next gets all requests that no file answers; if it is nil, these are answered
// 404, or 405 if the method is not GET or HEAD. fields are field lines, each with its CR LF, that all responses have.
//
// The backends of a Static share what they know of files.
func (s *Static) Backend(next backend.Backend, fields string) backend.Backend {
	return &server{s, next, newFixed(fields)}
}

// server is a Static as a Backend.
type server struct {
	s     *Static
	next  backend.Backend // nil: none
	fixed *fixed
}

// New opens the directories of the rules. The error names the rule.
func New(c Config) (*Static, error) {
	if len(c.Rules) > RulesMax {
		return nil, fmt.Errorf("%d rules: more than %d", len(c.Rules), RulesMax)
	}
	s := &Static{
		fresh: cmp.Or(c.Fresh, freshDefault), wait: cmp.Or(c.Wait, waitDefault), encode: c.Encode,
		store: newStore(bounds{
			cmp.Or(c.Entries, entriesDefault), cmp.Or(c.Bytes, bytesDefault), cmp.Or(c.Descriptors, min(descriptorsDefault, openFilesMax()/descriptorsShare)),
		}),
	}
	s.lookups = newLookups(cmp.Or(c.Goroutines, goroutinesDefault), cmp.Or(c.Queue, queueDefault), s.wait)
	for _, r := range c.Rules {
		r.Compress = r.Compress && c.Encode != nil
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

func (s *Static) closeRules() {
	for _, r := range s.rules {
		r.dir.close()
	}
}

// Attach creates the instance of the backend on loop l.
func (b *server) Attach(l backend.Loop) (backend.LoopBackend, error) {
	lb := newLoop(b.s, l, b.fixed)
	if b.next != nil {
		var err error
		if lb.Wrapped, err = backend.AttachWrapped(b.next, l); err != nil {
			return nil, err
		}
	}
	if !b.s.add(lb) {
		return nil, backend.ErrStopped
	}
	l.OnTurn(lb)
	if lb.Files != nil {
		return &filesLoop{lb}, nil
	}
	return lb, nil
}

// add adds the part of a backend on a loop. false: the Static is closed.
func (s *Static) add(l *loop) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.loops = append(s.loops, l)
	}
	return !s.closed
}

// closeWait is how long Close waits for lookups. Tests change it.
var closeWait = 2 * time.Second

// Close closes all files that are not being sent. No exchange may start any more; those in progress continue. Lookups that are
// running are waited for, but not for long: a file system that hangs must not stop a reload. Then the directories are closed
// when the lookups have ended.
func (s *Static) Close() {
	s.mu.Lock()
	s.closed = true
	loops := s.loops
	s.loops = nil
	s.mu.Unlock()
	for _, l := range loops {
		l.on.Post(l.close)
	}
	s.store.close()
	closed := make(chan struct{})
	go func() {
		s.lookups.finish()
		s.closeRules()
		close(closed)
	}()
	soon := time.NewTimer(closeWait)
	defer soon.Stop()
	select {
	case <-closed:
	case <-soon.C:
	}
}
