package admin

import (
	"slices"
	"sync"
)

// ring keeps the last entries of what is added to it. Safe for concurrent use.
type ring[T any] struct {
	mu   sync.Mutex
	list []T // oldest first
}

// add adds an entry. If there are most entries, the oldest is dropped.
func (r *ring[T]) add(one T, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(slices.Delete(r.list, 0, max(len(r.list)+1-most, 0)), one)
}

// all returns the entries, oldest first.
func (r *ring[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// last returns the entry that was added last.
func (r *ring[T]) last() (one T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.list); n > 0 {
		one = r.list[n-1]
	}
	return one
}
