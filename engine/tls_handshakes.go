package engine

import (
	"container/list"
	"sync"
)

// handshakes bounds the TLS handshakes of an engine. Those that may run have a goroutine each. Few of them compute at a time: a
// loop that has something to do should find a processor. One that waits for its peer does not count among these, nor one that takes as long
// as if it waited for something else: functions of the program may (tls.Config.GetCertificate).
type handshakes struct {
	most  int // running, and as many waiting
	slots chan struct{}
	// sharesProcs: there is one processor, and the loops park.
	sharesProcs bool
	once        sync.Once

	mu      sync.Mutex
	running int
	waiting list.List // of *handshake, in the order of their arrival
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
		h.place = s.waiting.PushBack(h)
	default:
		return false
	}
	return true
}

// ended: a handshake is over, and the next one may run.
func (s *handshakes) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.waiting.Front()
	if first == nil {
		s.running--
		return
	}
	h := s.waiting.Remove(first).(*handshake)
	h.place = nil
	h.start(true)
}

// giveUp takes h out of the waiting ones, if it is one of them.
func (s *handshakes) giveUp(h *handshake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.place != nil {
		s.waiting.Remove(h.place)
		h.place = nil
	}
}

func (s *handshakes) figures() (running, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.waiting.Len()
}
