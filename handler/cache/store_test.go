package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// model drives a store at random, and knows what is held.
type model struct {
	t     *testing.T
	s     *Store
	r     *rand.Rand
	now   int64
	fills []*fill
	wants map[*fill]int // runs that wait
	held  []*variant    // by responses that are being sent
	runs  int
}

// step does something.
func (m *model) step() {
	switch n := m.r.IntN(20); {
	case n < 10:
		m.ask()
	case n < 14:
		m.finish()
	case n < 17:
		m.release()
	case n < 18:
		m.s.purge([]byte(m.key()))
	case n < 19 && m.r.IntN(20) == 0:
		m.s.purgePrefix(fmt.Sprintf("h/%d", m.r.IntN(4)))
	default:
		m.now += int64(m.r.IntN(3000)) * int64(time.Millisecond)
	}
}

func (m *model) key() string { return fmt.Sprintf("h/%d", m.r.IntN(12)) }

func (m *model) ask() {
	method := "GET"
	if m.r.IntN(10) == 0 {
		method = "HEAD"
	}
	lines := []string{"Host: h", fmt.Sprintf("X-A: %d", m.r.IntN(3))}
	if m.r.IntN(8) == 0 {
		lines = append(lines, "Cache-Control: no-cache")
	}
	var q query
	if !q.read(parseRequest(m.t, method+" "+m.key()[1:], lines...), true) {
		m.t.Fatal("not for the cache")
	}
	m.runs++
	a := m.s.ask(&q, new(run), m.r.IntN(10) == 0, m.now)
	if a.v != nil {
		m.held = append(m.held, a.v)
	}
	switch a.action {
	case actServe:
		if u := a.v.use(&q.control, false, m.now); a.v == nil || !a.stale && u != useFresh {
			m.t.Fatalf("served: %v, stale %v, use %d", a.v, a.stale, u)
		}
		if a.fill != nil {
			m.fills = append(m.fills, a.fill)
		}
	case actFill:
		m.fills = append(m.fills, a.fill)
	case actWait:
		m.wants[a.fill]++
	}
}

// finish ends a fill, with a response or without.
func (m *model) finish() {
	if len(m.fills) == 0 {
		return
	}
	i := m.r.IntN(len(m.fills))
	f := m.fills[i]
	m.fills = slices.Delete(m.fills, i, i+1)
	var v *variant
	mark := int64(0)
	switch m.r.IntN(6) {
	case 0:
	case 1:
		mark = int64(time.Second)
	default:
		v = m.variant()
	}
	if got := len(f.finish(v, mark, m.now)); got != m.wants[f] {
		m.t.Fatalf("%d runs were released, %d waited", got, m.wants[f])
	}
	delete(m.wants, f)
}

// variant returns one that is admitted, or nil.
func (m *model) variant() *variant {
	f := facts{status: 200, control: newResponseControl(), lifetime: int64(m.r.IntN(5))}
	f.control.staleWhileRevalidate = int64(m.r.IntN(3))
	secondary := ""
	if m.r.IntN(2) == 0 {
		f.varies, secondary = []string{"x-a"}, fmt.Sprintf("%d,\n", m.r.IntN(3))
	}
	if m.r.IntN(2) == 0 {
		f.etag = `"x"`
	}
	body := make([]byte, m.r.IntN(4000))
	if !m.s.reserve(int64(len(body))) {
		return nil
	}
	v := newVariant(&f, secondary, make([]byte, 100), body, m.now)
	if !m.s.admit(v, int64(len(body))) {
		return nil
	}
	return v
}

func (m *model) release() {
	if n := len(m.held); n > 0 {
		i := m.r.IntN(n)
		m.held[i].release()
		m.held = slices.Delete(m.held, i, i+1)
	}
}

// check compares the store with what is known of it.
func (m *model) check() {
	known := map[*variant]bool{}
	objects, waiting := int64(0), int64(0)
	for _, f := range m.fills {
		waiting += int64(m.wants[f])
		if f.prev != nil {
			known[f.prev] = true
		}
	}
	for _, v := range m.held {
		known[v] = true
	}
	for i := range m.s.shards {
		sh := &m.s.shards[i]
		listed := 0
		for key, o := range sh.objects {
			if key != o.key || o.gone || o.listed != (len(o.fills) == 0) || len(o.fills)+len(o.variants) == 0 || len(o.variants) > variantsMax {
				m.t.Fatalf("object %q: %+v", key, o)
			}
			objects += o.cost()
			for _, v := range o.variants {
				known[v] = true
			}
			if o.listed {
				listed++
			}
		}
		for o := range sh.leaving.All() {
			if listed--; !o.listed {
				m.t.Fatalf("object %q is in the list", o.key)
			}
		}
		if listed != 0 {
			m.t.Fatalf("%d listed objects are not in the list", listed)
		}
	}
	want := objects
	for v := range known {
		if v.refs.Load() <= 0 {
			m.t.Fatal("a variant in use has no holder")
		}
		want += v.cost
	}
	if got := m.s.used.Load(); got != want {
		m.t.Fatalf("%d bytes are counted, %d are in use", got, want)
	}
	if got := m.s.waiting.Load(); got != waiting {
		m.t.Fatalf("%d runs are counted as waiting instead of %d", got, waiting)
	}
	if len(m.fills)+len(m.held) == 0 && want > m.s.limit {
		m.t.Fatalf("%d bytes are kept, %d are allowed", want, m.s.limit)
	}
}

// The memory of a store is counted exactly, whatever happens to it, and stays within its bound.
func TestStoreModel(t *testing.T) {
	for seed := range uint64(40) {
		m := &model{t: t, s: newStore(20_000, 4000), r: rand.New(rand.NewPCG(seed, 1)), wants: map[*fill]int{}}
		for range 2000 {
			m.step()
			m.check()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		for len(m.fills) > 0 {
			m.finish()
		}
		for len(m.held) > 0 {
			m.release()
		}
		m.check()
		if m.s.purgePrefix(""); m.s.used.Load() != 0 || m.s.renewing.Load() != 0 {
			t.Fatalf("seed %d: %d bytes, %d renewals are left", seed, m.s.used.Load(), m.s.renewing.Load())
		}
	}
}

// The responses that were not used for the longest time make room.
func TestEviction(t *testing.T) {
	s := newStore(10_000, 4000)
	query := func(i int) *query {
		q := new(query)
		q.read(parseRequest(t, fmt.Sprintf("GET /%d", i), "Host: h"), true)
		return q
	}
	put := func(i int, now int64) {
		a := s.ask(query(i), nil, false, now)
		f := facts{status: 200, control: newResponseControl(), lifetime: 1000}
		v := newVariant(&f, "", nil, make([]byte, 2000), now)
		if a.action != actFill || !s.admit(v, 0) {
			t.Fatalf("%d is not kept: %+v", i, a)
		}
		a.fill.finish(v, 0, now)
	}
	kept := func(i int, now int64) bool {
		a := s.ask(query(i), nil, false, now)
		if a.action == actServe {
			a.v.release()
			return true
		}
		a.fill.finish(nil, 0, now)
		return false
	}
	put(1, 1)
	put(2, 2)
	put(3, 3)
	if !kept(1, 4) {
		t.Fatal("1 is gone")
	}
	put(4, 5)
	put(5, 6)
	for i, want := range []bool{true, false, true, true, true} {
		if got := kept(i+1, 7); got != want {
			t.Errorf("%d is kept: %v", i+1, got)
		}
	}
	if s.used.Load() > s.limit {
		t.Errorf("%d bytes", s.used.Load())
	}
}

// A key has a bounded number of variants.
func TestVariantsBounded(t *testing.T) {
	s := newStore(1<<20, 4000)
	for i := range 3 * variantsMax {
		var q query
		q.read(parseRequest(t, "GET /", "Host: h", fmt.Sprintf("X-A: %d", i)), true)
		a := s.ask(&q, nil, false, int64(i))
		f := facts{status: 200, control: newResponseControl(), lifetime: 1000, varies: []string{"x-a"}}
		v := newVariant(&f, fmt.Sprintf("%d\n\r", i), nil, nil, int64(i))
		s.admit(v, 0)
		a.fill.finish(v, 0, int64(i))
	}
	sh, _ := s.place([]byte("h/"))
	if n := len(sh.objects["h/"].variants); n != variantsMax {
		t.Errorf("%d variants", n)
	}
}

// Many goroutines use a store at the same time.
func TestStoreConcurrent(t *testing.T) {
	s := newStore(20_000, 4000)
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			m := &model{t: t, s: s, r: rand.New(rand.NewPCG(seed, 2)), wants: map[*fill]int{}}
			for range 2000 {
				switch m.r.IntN(4) {
				case 0:
					m.now += int64(time.Second)
				case 1:
					m.release()
				case 2:
					if len(m.fills) > 0 {
						f := m.fills[0]
						m.fills = m.fills[1:]
						f.finish(m.variant(), 0, m.now)
					}
				default:
					m.ask()
				}
				if m.r.IntN(50) == 0 {
					s.purgePrefix("h/1")
				}
			}
			for len(m.held) > 0 {
				m.release()
			}
			for _, f := range m.fills {
				f.finish(nil, 0, m.now)
			}
		})
	}
	all.Wait()
	if s.purgePrefix(""); s.used.Load() != 0 || s.waiting.Load() != 0 || s.renewing.Load() != 0 {
		t.Errorf("%d bytes, %d waiting, %d renewals are left", s.used.Load(), s.waiting.Load(), s.renewing.Load())
	}
}
