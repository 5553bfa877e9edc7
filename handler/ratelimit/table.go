package ratelimit

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
)

const (
	// setEntries is how many clients share a place in the table: one of these is forgotten for a new one.
	setEntries = 8
	// sets bounds the table, to 64 Ki clients and 1.6 MiB.
	sets = 8192
	// locks is how many there are for all sets, so that loops do not wait for each other.
	locks = 64
)

// client is whom requests are counted for: an address, or what stands for a key.
type client [16]byte

// entry is what is known about a client.
type entry struct {
	client client
	paid   int64 // when all of its requests will have been paid for, on the clock of the loops; 0: no client
}

// Table is what has been counted for each client. All loops use it.
type Table struct {
	seed  maphash.Seed
	other maphash.Seed // for the second half of keys
	locks [locks]struct {
		sync.Mutex
		_ [56]byte // not in the cache line of the next one
	}
	sets [sets][setEntries]entry
}

// NewTable returns a Table without clients.
func NewTable() *Table { return &Table{seed: maphash.MakeSeed(), other: maphash.MakeSeed()} }

// addressed is what counts as a client: an IPv4 address, or the /64 of an IPv6 address, which a provider gives to one customer.
func addressed(a netip.Addr) client {
	b := a.As16()
	if !a.Unmap().Is4() {
		clear(b[8:])
	}
	return b
}

// keyed stands for a key in the table. Two keys are taken for one with a probability of 2^-128, which nobody outside can raise.
func (t *Table) keyed(key []byte) (c client) {
	binary.NativeEndian.PutUint64(c[:8], maphash.Bytes(t.seed, key))
	binary.NativeEndian.PutUint64(c[8:], maphash.Bytes(t.other, key))
	return c
}

// take counts a request at the time now that takes each nanoseconds to be paid for, unless the client would then owe more than
// most. wait is how long the client has to wait until it would not.
func (t *Table) take(who client, now, each, most int64) (wait int64) {
	e, lock := t.entry(who)
	defer lock.Unlock()
	owed := e.owed(now, most)
	if owed+each > most {
		return owed + each - most
	}
	e.paid = now + owed + each
	return 0
}

// charge counts what takes cost nanoseconds to be paid for. The client does not owe more than most afterwards.
func (t *Table) charge(who client, now, cost, most int64) {
	e, lock := t.entry(who)
	defer lock.Unlock()
	e.paid = now + min(e.owed(now, most)+cost, most)
}

// entry returns the entry of a client, whose lock the caller has to release.
func (t *Table) entry(who client) (*entry, *sync.Mutex) {
	h := maphash.Bytes(t.seed, who[:])
	lock := &t.locks[h%locks].Mutex
	lock.Lock()
	return find(&t.sets[h%sets], who), lock
}

// owed is what a client has to pay for, but not more than most.
func (e *entry) owed(now, most int64) int64 { return min(max(e.paid-now, 0), most) }

// find returns the entry of a client. If there is none, it takes the place of the one that owes the least.
func find(set *[setEntries]entry, who client) *entry {
	least := &set[0]
	a, b := halves(&who)
	for i := range set {
		e := &set[i]
		if x, y := halves(&e.client); x == a && y == b && e.paid != 0 {
			return e
		}
		if e.paid < least.paid {
			least = e
		}
	}
	*least = entry{client: who}
	return least
}

func halves(b *client) (x, y uint64) {
	return binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])
}
