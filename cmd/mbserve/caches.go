package main

import (
	"maps"
	"slices"
	"sync"

	"moonbridge/handler/backend"
	"moonbridge/handler/cache"
	"moonbridge/handler/pool/listen"
	"moonbridge/httpwrite"
)

// caches are those of all generations: what a handler changes is out of date in all of them.
type caches struct {
	mu  sync.Mutex
	all []ownedCache
}

// ownedCache is the cache of a generation.
type ownedCache struct {
	*cache.Cache
	of *generation
}

// purge implements pool.Config.Purge.
func (c *caches) purge(key string, prefix bool) {
	c.mu.Lock()
	all := slices.Clone(c.all)
	c.mu.Unlock()
	for _, one := range all {
		if prefix {
			one.PurgePrefix(key)
		} else {
			one.Purge(key)
		}
	}
}

// invalidated removes a page in the caches of other generations: a request that a script still works on when it is replaced may change
// what its successor has in its cache by then.
func (c *caches) invalidated(by *generation, key string) {
	c.mu.Lock()
	var others []*cache.Cache
	for _, one := range c.all {
		if one.of != by {
			others = append(others, one.Cache)
		}
	}
	c.mu.Unlock()
	for _, one := range others {
		one.Purge(key)
	}
}

func (c *caches) add(one *cache.Cache, of *generation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, ownedCache{one, of})
}

func (c *caches) remove(one *cache.Cache) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = slices.DeleteFunc(c.all, func(other ownedCache) bool { return other.Cache == one })
}

// cached puts a cache in front of a backend, if a listener's handler wants one. Listeners with the same handler share what is
// kept. A generation begins with an empty cache: its script may answer otherwise than that of the last one.
func (g *generation) cached(b backend.Backend, h *listen.HTTPOptions) backend.Backend {
	if h.Cache.ID == 0 {
		return b
	}
	c := g.caches[h.Cache.ID]
	if c != nil {
		c = c.Wrap(b)
	} else {
		o := cacheOptions(h)
		o.Invalidated = func(key string) { g.s.caches.invalidated(g, key) }
		c = cache.New(b, o)
	}
	if g.caches == nil {
		g.caches = make(map[int]*cache.Cache)
	}
	g.caches[h.Cache.ID] = c
	g.s.caches.add(c, g)
	g.cachesInUse = append(g.cachesInUse, c)
	return c
}

// logCaches logs the statistics of each handler's cache.
func (g *generation) logCaches() {
	for _, id := range slices.Sorted(maps.Keys(g.caches)) {
		st := g.caches[id].Stats()
		g.log.Info("cache", "cache", id, "hits", st.Hits, "stale", st.Stale, "misses", st.Misses, "waits", st.Waits, "passed", st.Passed,
			"stored", st.Stored, "evicted", st.Evicted, "keys", st.Keys, "bytes", st.Bytes, "limit", st.Limit)
	}
}

// endCaches ends the caches of a generation that serves no listener any more.
func (g *generation) endCaches() {
	for _, c := range g.cachesInUse {
		g.s.caches.remove(c)
		c.Close()
	}
}

func cacheOptions(h *listen.HTTPOptions) cache.Options {
	fixed := httpwrite.NewFixed(h.StaticHeaders)
	return cache.Options{
		Bytes: h.Cache.Bytes, EntryBytes: h.Cache.EntryBytes, Wait: h.Cache.Wait,
		IgnoreDirectives: !h.Cache.RequestDirectives, Status: h.Cache.Status, Close: fixed.Close(),
	}
}
