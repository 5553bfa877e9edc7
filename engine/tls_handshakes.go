package engine

import (
	"sync"

	"moonbridge/handler/list"
)

// handshakes bounds the TLS handshakes of an engine. Those that may run have a goroutine each, or a fiber. Few goroutines compute at a time: a
// loop that has something to do should find a processor. One that waits for its peer does not count among these, nor one that takes so long
// that it probably waits for something else, as a function of the program may (tls.Config.GetCertificate).
type handshakes struct {
	most  int // running, and as many waiting
	slots chan struct{}
	// sharesProcs: there is one processor, and the loops park.
	sharesProcs bool
	once        sync.Once

	mu      sync.Mutex
	running int
	waiting list.List[handshake] // in the order of their arrival
}

// newWaiting returns an empty list of those that wait.
func newWaiting() list.List[handshake] {
	return list.New(func(h *handshake) *list.Links[handshake] { return &h.waitLinks })
}

// prepare makes as many slots as there are loops, and at least two.
func (s *handshakes) prepare(loops int) {
	s.once.Do(func() {
		slots := max(2, loops)
		s.slots = make(chan struct{}, slots)
		if !s.sharesProcs {
			raiseProcs(loops + slots - 2)
		}
	})
}

// begin runs h, or lets it wait. false: too many wait already.
func (s *handshakes) begin(h *handshake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running < s.most:
		s.running++
		h.start(false)
	case s.waiting.Len() < s.most:
		h.waits = true
		s.waiting.PushBack(h)
	default:
		return false
	}
	return true
}

// ended: a handshake is over, and the next one may run.
func (s *handshakes) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.waiting.First()
	if h == nil {
		s.running--
		return
	}
	s.leave(h)
	h.start(true)
}

// giveUp takes h out of the waiting ones, if it is one of them.
func (s *handshakes) giveUp(h *handshake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.waits {
		s.leave(h)
	}
}

// leave takes h out of the waiting ones. Under mu.
func (s *handshakes) leave(h *handshake) {
	s.waiting.Remove(h)
	h.waits = false
}

func (s *handshakes) figures() (running, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.waiting.Len()
}
