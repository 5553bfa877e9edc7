package cache

import (
	"sync"

	"moonbridge/handler/list"
)

// shard is a part of the store: the objects whose keys have certain hashes.
type shard struct {
	mu      sync.Mutex
	objects map[string]*object
	marks   [marksPerShard]mark
	purges  uint64 // how often something was purged
	counts  counts
	outside outside

	leaving list.List[object] // the objects that may go, the one that was used last first
}

// mark says of a key, for a time, that its responses are not kept: requests for it do not wait for each other. Keys that share a
// mark's place push each other out, and then the next requests for a key wait for one that fails to fill it, as at first.
type mark struct {
	hash  uint64
	until int64
}

const (
	shards        = 16
	marksPerShard = 256
)

func (s *shard) marked(hash uint64, now int64) bool {
	m := &s.marks[hash/shards%marksPerShard]
	return m.hash == hash && now < m.until
}

func (s *shard) mark(hash uint64, until int64) {
	s.marks[hash/shards%marksPerShard] = mark{hash, until}
}

func (s *shard) unmark(hash uint64) {
	if m := &s.marks[hash/shards%marksPerShard]; m.hash == hash {
		*m = mark{}
	}
}

// object returns the object for a key, which it makes if there is none. made: it did.
func (s *shard) object(key []byte, now int64) (o *object, made bool) {
	if o = s.objects[string(key)]; o != nil {
		return o, false
	}
	o = &object{key: string(key), touched: now}
	s.objects[o.key] = o
	return o, true
}

// settle puts an object into the list of those that may go, takes it out, or removes it if there is nothing in it. removed: it did
// the last.
func (s *shard) settle(o *object) (removed bool) {
	switch {
	case o.gone:
	case len(o.fills) > 0:
		s.unlist(o)
	case len(o.variants) > 0:
		s.list(o)
	default:
		s.remove(o)
		return true
	}
	return false
}

// remove takes an object out of the shard.
func (s *shard) remove(o *object) {
	s.unlist(o)
	delete(s.objects, o.key)
	o.gone = true
}

// touch notes that an object is used.
func (s *shard) touch(o *object, now int64) {
	o.touched = now
	if o.listed && s.leaving.First() != o {
		s.unlist(o)
		s.list(o)
	}
}

func (s *shard) list(o *object) {
	if !o.listed {
		o.listed = true
		s.leaving.PushFront(o)
	}
}

func (s *shard) unlist(o *object) {
	if o.listed {
		o.listed = false
		s.leaving.Remove(o)
	}
}
