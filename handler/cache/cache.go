package cache

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"moonbridge/handler/backend"
)

// Defaults of Options.
const (
	// BytesDefault is enough for thousands of pages, and little beside the memory of a few workers.
	BytesDefault = 64 << 20
	// EntryBytesDefault keeps one response from pushing out many others.
	EntryBytesDefault = 1 << 20
	// waitDefault is longer than a page should take, and shorter than clients wait.
	waitDefault = 5 * time.Second
)

// Options of a Cache. The zero value stands for the defaults.
type Options struct {
	// Bytes bounds the memory of the store, 0 means BytesDefault.
	Bytes int64
	// EntryBytes bounds the body of a response that is kept, 0 means EntryBytesDefault.
	EntryBytes int64
	// Wait bounds how long a request waits for the response to another one, 0 means 5 seconds.
	Wait time.Duration
	// IgnoreDirectives: Cache-Control and Pragma of requests do not count (RFC 9111 §5.2.1 allows that).
	IgnoreDirectives bool
	// Status adds the field Cache-Status (RFC 9211) to responses.
	Status bool
	// Close ends the connection after each response from the store.
	Close bool
	// Invalidated, if it is not nil, is called with the key of what a request with an unsafe method has made invalid, after that was
	// removed here: another cache may have it, too. It is called on the loops.
	Invalidated func(key string)
}

// withDefaults returns the options with their defaults.
func (o Options) withDefaults() Options {
	o.Bytes = cmp.Or(o.Bytes, BytesDefault)
	o.EntryBytes = cmp.Or(o.EntryBytes, EntryBytesDefault)
	o.Wait = cmp.Or(o.Wait, waitDefault)
	o.EntryBytes = min(o.EntryBytes, o.Bytes)
	return o
}

// Cache is a backend that answers from memory what it can, and passes everything else on to another backend.
type Cache struct {
	next    backend.Backend
	store   *Store
	options Options

	mu    sync.Mutex
	loops []*loop
}

// New wraps next with a cache.
func New(next backend.Backend, o Options) *Cache {
	o = o.withDefaults()
	return &Cache{next: next, store: newStore(o.Bytes, o.EntryBytes), options: o}
}

// Wrap wraps another backend, which gives the same answers as the one that c wraps. Both caches have one store.
func (c *Cache) Wrap(next backend.Backend) *Cache {
	return &Cache{next: next, store: c.store, options: c.options}
}

// Attach creates the instance of the backend on loop l.
func (c *Cache) Attach(l backend.Loop) (backend.LoopBackend, error) {
	next, err := backend.AttachWrapped(c.next, l)
	if err != nil {
		return nil, err
	}
	part := &loop{Wrapped: next, c: c, store: c.store, on: l, waiting: make(map[*run]struct{})}
	l.OnTurn(part)
	c.mu.Lock()
	c.loops = append(c.loops, part)
	c.mu.Unlock()
	return part.wrapped(), nil
}

// EndWaits has the requests that wait for the response to another one go to the wrapped backend, while that still takes
// exchanges. It returns when they have, or when ctx is done. No new exchange may reach the cache any more.
func (c *Cache) EndWaits(ctx context.Context) {
	c.mu.Lock()
	loops := slices.Clone(c.loops)
	c.mu.Unlock()
	done := make(chan struct{}, len(loops))
	for _, l := range loops {
		l.on.Post(func() {
			l.endWaits()
			done <- struct{}{}
		})
	}
	for range loops {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// Close empties the store and ends the part of the cache on each loop. It is called when no exchange reaches the cache any more.
func (c *Cache) Close() {
	c.mu.Lock()
	loops := c.loops
	c.loops = nil
	c.mu.Unlock()
	for _, l := range loops {
		l.on.Post(l.close)
	}
	c.store.purgePrefix("")
}

// Purge removes the responses that are kept for a key: the host in lower case, the path and the query, as in
// "example.com/news?page=2". Responses that are being made are not kept either. It returns how many were removed. Any
// goroutine may call it.
func (c *Cache) Purge(key string) int { return c.store.purge([]byte(normalKey(key))) }

// PurgePrefix does the same for all keys with a prefix. Without a prefix, it empties the store.
func (c *Cache) PurgePrefix(prefix string) int { return c.store.purgePrefix(normalKey(prefix)) }

// Bytes is how much memory the store uses: for responses that it keeps, is sending, or is receiving.
func (c *Cache) Bytes() int64 { return c.store.used.Load() }
