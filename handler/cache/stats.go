package cache

import "sync/atomic"

// Stats say what a store has done since it was made, and what it holds.
type Stats struct {
	Hits    uint64 // requests that were answered with a fresh response
	Stale   uint64 // those that were answered with a stale one; if the backend has failed, they are misses as well
	Misses  uint64 // those that the backend answered, with a response that might have been kept
	Waits   uint64 // how often a request has waited for the response to another one; it also counts as one of the others
	Passed  uint64 // requests that the store had nothing to do with
	Stored  uint64 // responses that were kept
	Evicted uint64 // addresses that had to make room

	Keys         int // addresses of which it has responses, or is waiting for one
	Bytes, Limit int64
}

// counts are those of a shard, under its lock.
type counts struct{ hits, stale, misses, waits, passed, stored, evicted uint64 }

// count counts what was decided about a request.
func (c *counts) count(a *answer) {
	switch a.action {
	case actServe:
		if a.stale {
			c.stale++
		} else {
			c.hits++
		}
	case actFill:
		c.misses++
	case actWait:
		c.waits++
	default:
		c.passed++
	}
}

// passed counts a request that does not reach a shard. Each loop has a place of its own, as far as there are places.
func (l *loop) passed() { l.store.shards[l.on.Index()%shards].outside.Add(1) }

// outside counts requests without the lock of its shard.
type outside struct{ atomic.Uint64 }

// stats adds up the counts.
func (s *Store) stats() Stats {
	all := Stats{Bytes: s.used.Load(), Limit: s.limit}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		c, keys := sh.counts, len(sh.objects)
		sh.mu.Unlock()
		all.Hits += c.hits
		all.Stale += c.stale
		all.Misses += c.misses
		all.Waits += c.waits
		all.Passed += c.passed + sh.outside.Load()
		all.Stored += c.stored
		all.Evicted += c.evicted
		all.Keys += keys
	}
	return all
}

// Stats returns those of the store, which the caches that were made with Wrap share. Any goroutine may call it.
func (c *Cache) Stats() Stats { return c.store.stats() }
