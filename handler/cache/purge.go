package cache

import (
	"bytes"
	"slices"
	"strings"
)

// Responses go when a script says so, or when a request with an unsafe method has changed what they show. Fills that began before
// are not kept: their responses may be older.

// purge removes everything that is kept for a key, of both schemes. It returns how many responses that were.
func (s *Store) purge(key []byte) int {
	key = bytes.TrimSuffix(key, []byte{secureEnd})
	return s.purgeOne(key) + s.purgeOne(append(slices.Clip(key), secureEnd))
}

func (s *Store) purgeOne(key []byte) int {
	sh, _ := s.place(key)
	sh.mu.Lock()
	sh.purges++
	o := sh.objects[string(key)]
	if o != nil {
		sh.remove(o)
	}
	sh.mu.Unlock()
	return s.purged(o)
}

// purgePrefix does the same for all keys with a prefix.
func (s *Store) purgePrefix(prefix string) (n int) {
	for i := range s.shards {
		for _, o := range s.shards[i].takePrefix(prefix) {
			n += s.purged(o)
		}
	}
	return n
}

func (s *shard) takePrefix(prefix string) (out []*object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purges++
	for key, o := range s.objects {
		if strings.HasPrefix(key, prefix) {
			s.remove(o)
			out = append(out, o)
		}
	}
	return out
}

func (s *Store) purged(o *object) int {
	if o == nil {
		return 0
	}
	n := len(o.variants)
	s.free(o)
	return n
}
