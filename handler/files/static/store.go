package static

import "sync"

// store has the entries that all loops share, within bounds. An entry that was used since the hand passed it last stays.
type store struct {
	bounds bounds

	mu      sync.Mutex
	entries map[string]*entry
	ring    []*entry // the same entries
	hand    int
	held    bounds
	closed  bool
}

// bounds are numbers of entries, of bytes of contents, and of descriptors.
type bounds struct{ entries, bytes, descriptors int }

func newStore(b bounds) *store { return &store{bounds: b, entries: make(map[string]*entry)} }

// get returns the entry of a path, or nil.
func (s *store) get(key string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[key]
}

// put adds an entry in place of the one that its path had. The store owns its descriptors from then on. false: it has no
// room.
func (s *store) put(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putLocked(e)
}

// putLocked is put. mu is held.
func (s *store) putLocked(e *entry) bool {
	bytes, descriptors := e.size()
	if old := s.entries[e.key]; old != nil {
		s.remove(old)
	}
	if s.closed || !s.makeRoom(bounds{1, bytes, descriptors}) {
		return false
	}
	s.entries[e.key] = e
	s.ring = append(s.ring, e)
	s.held.entries++
	s.held.bytes += bytes
	s.held.descriptors += descriptors
	return true
}

// replace puts an entry in place of another one, if that is still there. The store owns its descriptors from then on. false: it
// is not there, or there is no room.
func (s *store) replace(old, e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[e.key] == old && s.putLocked(e)
}

// makeRoom removes entries that were not used lately, until more fit. mu is held.
func (s *store) makeRoom(more bounds) bool {
	for passes := 2*len(s.ring) + 1; passes > 0; passes-- {
		if s.held.entries+more.entries <= s.bounds.entries && s.held.bytes+more.bytes <= s.bounds.bytes &&
			s.held.descriptors+more.descriptors <= s.bounds.descriptors {
			return true
		}
		if len(s.ring) == 0 {
			return false
		}
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		if e := s.ring[s.hand]; e.used.Swap(false) {
			s.hand++
		} else {
			s.remove(e)
		}
	}
	return false
}

// remove removes an entry. mu is held.
func (s *store) remove(e *entry) {
	for i := range s.ring {
		// The hand is nearly always at the entry that is to be removed.
		k := (s.hand + i) % len(s.ring)
		if s.ring[k] != e {
			continue
		}
		last := len(s.ring) - 1
		s.ring[k] = s.ring[last]
		s.ring[last] = nil
		s.ring = s.ring[:last]
		break
	}
	delete(s.entries, e.key)
	bytes, descriptors := e.size()
	s.held.entries--
	s.held.bytes -= bytes
	s.held.descriptors -= descriptors
	e.dead.Store(true)
	e.release()
}

// drop removes an entry if it is still there.
func (s *store) drop(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[e.key] == e {
		s.remove(e)
	}
}

// close removes all entries, for good.
func (s *store) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for len(s.ring) > 0 {
		s.remove(s.ring[len(s.ring)-1])
	}
}
