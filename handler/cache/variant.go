package cache

import (
	"sync/atomic"
	"unsafe"

	"moonbridge/httpparse"
)

// variant is a stored response. It is immutable, except for its counts and times.
type variant struct {
	freshness
	status int
	head   []byte // status line and fields, with Content-Length if there is a body, without the empty line
	body   []byte

	varies     []string // names of the fields that Vary names, in lower case
	secondary  string   // values of these fields in the request that it answered
	negotiated bool     // varies has accept-encoding
	codings    int      // as in facts
	coding     httpparse.Coding

	validators   httpparse.Validators
	lastModified string // as sent

	cost    int64
	store   *Store
	refs    atomic.Int32
	retryAt atomic.Int64 // the backend has failed: it is asked again then
	used    int64        // when it answered last; under the lock of the shard
}

// The memory, in bytes, that lengths do not show: the cost of a variant, of an object with its place in a map, and of a name.
const (
	variantCost = int64(unsafe.Sizeof(variant{})) + 8
	objectCost  = int64(unsafe.Sizeof(object{})) + 64
	stringCost  = int64(unsafe.Sizeof(""))
)

// newVariant is a variant with one holder. Its memory is not counted yet: see Store.admit.
func newVariant(f *facts, secondary string, head, body []byte, now int64) *variant {
	v := &variant{
		freshness: newFreshness(f, now), status: f.status, head: head, body: body,
		varies: f.varies, secondary: secondary, codings: f.codings, coding: f.coding,
		validators:   httpparse.Validators{ETag: f.etag, Modified: f.modified, HasModified: f.lastModified != "", Young: f.young},
		lastModified: f.lastModified, used: now,
	}
	v.cost = variantCost + int64(cap(head)+cap(body)+len(secondary)+len(f.etag)+len(f.lastModified))
	for _, name := range f.varies {
		v.negotiated = v.negotiated || name == "accept-encoding"
		v.cost += stringCost + int64(len(name))
	}
	v.refs.Store(1)
	return v
}

// answersWaiters reports whether requests that waited for the response are answered with it. Otherwise they would wait for each
// other, one by one.
func (v *variant) answersWaiters(now int64) bool {
	decodable := v.codings <= 1 || !v.negotiated // as in acceptsCoding
	return decodable && v.age(now) < v.lifetime+v.whileStale
}

// hold adds a holder. The caller has one, or the lock of a shard that has one.
func (v *variant) hold() { v.refs.Add(1) }

// release takes a holder away. With the last one the memory is free.
func (v *variant) release() {
	if v != nil && v.refs.Add(-1) == 0 {
		v.store.used.Add(-v.cost)
	}
}
