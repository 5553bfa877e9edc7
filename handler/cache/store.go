package cache

import (
	"bytes"
	"hash/maphash"
	"math"
	"sync/atomic"

	"moonbridge/handler/backend"
	"moonbridge/handler/list"
)

// Store keeps responses in memory. All loops use it.
type Store struct {
	limit    int64 // bytes of everything that it holds
	entryMax int64 // bytes of the body of one response
	seed     maphash.Seed
	used     atomic.Int64 // bytes: of objects, variants, and responses that are coming in
	waiting  atomic.Int64 // runs that wait for fills
	renewing atomic.Int64 // fills without a client
	shards   [shards]shard
}

const (
	// waitersMax bounds the runs that wait for one fill, waitingMax those of the whole store: each of them keeps a copy of its
	// request head.
	waitersMax = 1 << 10
	waitingMax = 1 << 12
	// renewingMax bounds the fills without a client. Beyond it a stale response answers, and is refreshed later.
	renewingMax = 64
)

func newStore(limit, entryMax int64) *Store {
	s := &Store{limit: limit, entryMax: entryMax, seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].objects = make(map[string]*object)
		s.shards[i].leaving = list.New(func(o *object) *list.Links[object] { return &o.links })
	}
	return s
}

func (s *Store) place(key []byte) (*shard, uint64) {
	hash := maphash.Bytes(s.seed, key)
	return &s.shards[hash%shards], hash
}

// fill is an exchange with the backend whose response may be kept.
type fill struct {
	store     *Store
	shard     *shard
	hash      uint64
	key       []byte
	o         *object // nil: nothing waits for it
	secondary string  // the values of o.varies in its request, when it began
	purges    uint64  // without o: those of the shard when it began
	prev      *variant
	waiters   []*run
	renews    bool // it has no client
	over      bool
	slow      bool // nothing waits for it any more
}

// action is what the store says about a request.
type action uint8

const (
	actPass  action = iota // the backend answers it, and the store has nothing to do with it
	actServe               // a variant answers it
	actFill                // the backend answers it, and the response may be kept
	actWait                // a fill is in progress that may answer it
	actFail                // nothing may answer it (only-if-cached)
)

// answer is an action with what belongs to it.
type answer struct {
	action action
	v      *variant // actServe: held for the caller
	stale  bool     // actServe
	fill   *fill    // actFill; actServe: to be carried out without a client; actWait: the one that r waits for
	bare   bool     // actFill: the request goes on without its conditions, so that the response is complete
}

// result is what the log says of an answer from the store.
func (a *answer) result() backend.CacheResult {
	if a.stale {
		return backend.CacheStale
	}
	return backend.CacheHit
}

// ask decides what happens to a request. r is the run that may have to wait for a fill. late: it has waited long enough.
func (s *Store) ask(q *query, r *run, late bool, now int64) (a answer) {
	sh, hash := s.place(q.key)
	sh.mu.Lock()
	o := sh.objects[string(q.key)]
	var v *variant
	if o != nil {
		v = o.match(q)
	}
	before := s.used.Load()
	if v == nil || !s.serve(&a, sh, hash, o, &v, q, late, now) {
		s.miss(&a, sh, hash, o, v, q, r, late, now)
	}
	sh.counts.count(&a)
	sh.mu.Unlock()
	if s.used.Load() > before {
		s.trim()
	}
	return a
}

// serve decides if the variant answers the request. If not, *at is nil unless the backend may be asked whether it is still valid.
func (s *Store) serve(a *answer, sh *shard, hash uint64, o *object, at **variant, q *query, late bool, now int64) bool {
	v := *at
	u := v.use(&q.control, q.authorized, now)
	switch u {
	case useNothing:
		if *at = nil; v.spent(now) && o.remove(v) {
			v.release()
			s.settle(sh, o)
		}
		return false
	case useValidate:
		failed := (late || now < v.retryAt.Load()) && !q.control.noCache
		if !failed || !v.answersErrors(now) {
			return false
		}
	}
	v.hold()
	v.used = now
	sh.touch(o, now)
	a.action, a.v, a.stale = actServe, v, u != useFresh
	if u == useRefresh {
		a.fill = s.renew(sh, hash, o, v, q, now)
	}
	return true
}

// renew begins a fill without a client, unless there is one already.
func (s *Store) renew(sh *shard, hash uint64, o *object, v *variant, q *query, now int64) *fill {
	secondary, ok := q.secondaryOf(o.varies)
	if !ok || o.fillFor(secondary) != nil || now < v.retryAt.Load() {
		return nil
	}
	if s.renewing.Add(1) > renewingMax {
		s.renewing.Add(-1)
		return nil
	}
	f := s.lead(sh, hash, o, v, q, secondary)
	f.renews = true
	return f
}

// miss decides what happens to a request that nothing answers. v is a variant that may be validated, or nil.
func (s *Store) miss(a *answer, sh *shard, hash uint64, o *object, v *variant, q *query, r *run, late bool, now int64) {
	switch {
	case q.control.onlyIfCached:
		a.action = actFail
		return
	case !q.get, q.partial, q.control.noStore:
		a.action = actPass
		return
	}
	a.action, a.bare = actFill, true
	var secondary []byte
	var inProgress *fill
	ok := true
	if o != nil && !o.gone {
		if secondary, ok = q.secondaryOf(o.varies); ok {
			inProgress = o.fillFor(secondary)
		}
	}
	switch {
	case sh.marked(hash, now):
		a.bare = v != nil
		a.fill = s.alone(sh, hash, v, q)
	case inProgress == nil && ok:
		o, made := sh.object(q.key, now)
		if made {
			s.used.Add(o.cost())
		}
		a.fill = s.lead(sh, hash, o, v, q, secondary)
	case inProgress != nil && !late && !inProgress.slow && !s.hurries(q) && s.waits(inProgress, r):
		a.action, a.fill = actWait, inProgress
	default:
		a.fill = s.alone(sh, hash, v, q)
	}
}

// hurries reports whether the client does not accept a response to a request that came before its own.
func (s *Store) hurries(q *query) bool { return q.control.noCache || q.control.maxAge == 0 }

// lead begins a fill for which other requests wait.
func (s *Store) lead(sh *shard, hash uint64, o *object, v *variant, q *query, secondary []byte) *fill {
	f := s.alone(sh, hash, v, q)
	f.o, f.secondary = o, string(secondary)
	o.fills = append(o.fills, f)
	sh.settle(o)
	return f
}

// alone begins a fill for which nothing waits.
func (s *Store) alone(sh *shard, hash uint64, v *variant, q *query) *fill {
	if v != nil {
		v.hold()
	}
	return &fill{store: s, shard: sh, hash: hash, key: bytes.Clone(q.key), prev: v, purges: sh.purges}
}

// waits makes r wait for f. false: too many do.
func (s *Store) waits(f *fill, r *run) bool {
	if r == nil || len(f.waiters) >= waitersMax {
		return false
	}
	if s.waiting.Add(1) > waitingMax {
		s.waiting.Add(-1)
		return false
	}
	f.waiters = append(f.waiters, r)
	return true
}

// unwait makes r wait no longer. false: it has been told already that f is over.
func (f *fill) unwait(r *run) bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	found := remove(&f.waiters, r)
	if found {
		f.store.waiting.Add(-1)
	}
	return found
}

// fellBack counts a response that was answered with a stale one, because the backend has failed.
func (f *fill) fellBack() {
	f.shard.mu.Lock()
	f.shard.counts.stale++
	f.shard.mu.Unlock()
}

// letGo returns the runs that wait for f, and lets no others wait.
func (f *fill) letGo() (waiters []*run) {
	f.shard.mu.Lock()
	f.slow = true
	waiters, f.waiters = f.waiters, nil
	f.shard.mu.Unlock()
	f.store.waiting.Add(-int64(len(waiters)))
	return waiters
}

// waitedFor reports whether anything waits for f.
func (f *fill) waitedFor() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return len(f.waiters) > 0
}

// settle settles an object, and counts its memory.
func (s *Store) settle(sh *shard, o *object) {
	if sh.settle(o) {
		s.used.Add(-o.cost())
	}
}

// finish ends f and returns the runs that waited for it. v, if there is one, is kept from now on; its memory must have been
// admitted. markFor > 0: the response is not kept, and requests for the key do not wait for each other for that time.
func (f *fill) finish(v *variant, markFor, now int64) (waiters []*run) {
	if f.over {
		return nil
	}
	f.over = true
	s, sh := f.store, f.shard
	sh.mu.Lock()
	if f.o != nil {
		remove(&f.o.fills, f)
	}
	var out []*variant
	if v != nil && f.mayKeep() {
		out = s.keep(f, v, now)
	} else if v != nil {
		out = append(out, v)
	}
	if markFor > 0 {
		sh.mark(f.hash, now+markFor)
	}
	if f.o != nil {
		s.settle(sh, f.o)
	}
	waiters, f.waiters = f.waiters, nil
	sh.mu.Unlock()
	s.waiting.Add(-int64(len(waiters)))
	if f.renews {
		s.renewing.Add(-1)
	}
	for _, v := range out {
		v.release()
	}
	f.prev.release()
	f.prev = nil
	s.trim()
	return waiters
}

// mayKeep reports whether nothing has been purged since the fill began that could be its response.
func (f *fill) mayKeep() bool {
	if f.o != nil {
		return !f.o.gone
	}
	return f.purges == f.shard.purges
}

func (s *Store) keep(f *fill, v *variant, now int64) (out []*variant) {
	o, made := f.shard.object(f.key, now)
	if made {
		s.used.Add(o.cost())
	}
	f.shard.unmark(f.hash)
	if !v.answersWaiters(now) {
		f.shard.mark(f.hash, now+int64(markUncacheable))
	}
	out = o.put(v)
	f.shard.counts.stored++
	f.shard.touch(o, now)
	s.settle(f.shard, o)
	return out
}

// discard takes the variant that f was to validate out of the store.
func (f *fill) discard() {
	if f.prev == nil {
		return
	}
	f.shard.mu.Lock()
	o := f.shard.objects[string(f.key)]
	found := o != nil && o.remove(f.prev)
	if found {
		f.store.settle(f.shard, o)
	}
	f.shard.mu.Unlock()
	if found {
		f.prev.release()
	}
}

// admit counts the memory of a variant, of which counted bytes are counted already. false: there is no room for it. Then
// none of it is counted.
func (s *Store) admit(v *variant, counted int64) bool {
	v.store = s
	if s.reserve(v.cost - counted) {
		return true
	}
	s.used.Add(-counted)
	return false
}

// reserve counts n bytes, for which other objects may have to go. false: there is no room.
func (s *Store) reserve(n int64) bool {
	if n > s.limit {
		return false
	}
	s.used.Add(n)
	if s.trim() {
		return true
	}
	s.used.Add(-n)
	return false
}

// trim removes objects, those first that were not used for the longest time, until the memory is within its limit. false: it
// is not, though there is nothing left that could go.
func (s *Store) trim() bool {
	for s.used.Load() > s.limit {
		if !s.evict() {
			return false
		}
	}
	return true
}

// evict removes the object that was not used for the longest time.
func (s *Store) evict() bool {
	var from *shard
	oldest := int64(math.MaxInt64)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if o := sh.leaving.Last(); o != nil && o.touched < oldest {
			from, oldest = sh, o.touched
		}
		sh.mu.Unlock()
	}
	if from == nil {
		return false
	}
	from.mu.Lock()
	o := from.leaving.Last()
	if o != nil {
		from.remove(o)
		from.counts.evicted++
	}
	from.mu.Unlock()
	s.free(o)
	return true
}

// free gives back the memory of an object that was removed from its shard.
func (s *Store) free(o *object) {
	if o == nil {
		return
	}
	s.used.Add(-o.cost())
	for _, v := range o.variants {
		v.release()
	}
	o.variants = nil
}
