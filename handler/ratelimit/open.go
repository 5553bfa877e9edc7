package ratelimit

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
)

// OpenOptions are the options of Open.
type OpenOptions struct {
	Most int // open connections of a client, at least 1

	// Exempt reports whether a client is not limited. nil: everybody is. It is called on the loops. What it says of a client must not
	// change while that has connections, or they are not counted out: make another Open with the same Table instead.
	Exempt func(client netip.Addr) bool

	// Table is what has been counted already, by an Open with any limit. Default: a new one.
	Table *OpenTable
}

// Open limits the open connections of each client. It is an engine.OpenLimit; several listeners may have the same one, and count
// together then.
type Open struct {
	exempt func(client netip.Addr) bool
	table  *OpenTable
	most   int
}

// NewOpen returns a limit for open connections.
func NewOpen(o OpenOptions) (*Open, error) {
	if o.Most < 1 {
		return nil, fmt.Errorf("%d open connections: out of range: Most has to be at least 1", o.Most)
	}
	l := &Open{exempt: o.Exempt, table: o.Table, most: o.Most}
	if l.table == nil {
		l.table = NewOpenTable()
	}
	return l, nil
}

// Table is what has been counted.
func (l *Open) Table() *OpenTable { return l.table }

// limits reports whether a client is limited. Those of Unix sockets have no address, and are not.
func (l *Open) limits(client netip.Addr) bool {
	return client.IsValid() && (l.exempt == nil || !l.exempt(client))
}

// Opened implements engine.OpenLimit.
func (l *Open) Opened(client netip.Addr) bool {
	return !l.limits(client) || l.table.enter(addressed(client), l.most)
}

// Closed implements engine.OpenLimit.
func (l *Open) Closed(client netip.Addr) {
	if l.limits(client) {
		l.table.leave(addressed(client))
	}
}

// OpenTable is how many connections each client has open. A client with none is not in it, so it is as large as there are
// connections at most. Unlike a Table, it forgets nobody.
type OpenTable struct {
	seed   maphash.Seed
	shards [locks]struct {
		sync.Mutex
		open map[client]int
		_    [48]byte // not in the cache line of the next one
	}
}

// NewOpenTable returns an OpenTable without clients.
func NewOpenTable() *OpenTable {
	t := &OpenTable{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].open = make(map[client]int)
	}
	return t
}

// Clients is how many clients have connections.
func (t *OpenTable) Clients() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		n += len(s.open)
		s.Unlock()
	}
	return n
}

// enter counts a connection of a client, unless it has most of them.
func (t *OpenTable) enter(who client, most int) bool {
	s := &t.shards[maphash.Bytes(t.seed, who[:])%locks]
	s.Lock()
	defer s.Unlock()
	n := s.open[who]
	if n >= most {
		return false
	}
	s.open[who] = n + 1
	return true
}

// leave undoes enter.
func (t *OpenTable) leave(who client) {
	s := &t.shards[maphash.Bytes(t.seed, who[:])%locks]
	s.Lock()
	defer s.Unlock()
	if n := s.open[who]; n > 1 {
		s.open[who] = n - 1
	} else {
		delete(s.open, who)
	}
}
