package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/shm"
)

func newDict(t testing.TB, size uint64) *Dict {
	t.Helper()
	d, _ := newDictMemory(t, size)
	return d
}

func newDictMemory(t testing.TB, size uint64) (*Dict, *shm.Dictionary) {
	t.Helper()
	m, err := shm.CreateDictionary(size)
	if err != nil {
		t.Fatal(err)
	}
	d, err := OpenDict(m)
	if err != nil {
		t.Fatal(err)
	}
	d.skew(0)
	t.Cleanup(func() {
		d.Close()
		m.File.Close()
	})
	return d, m
}

// dictModel is what a dictionary is expected to hold, if nothing is evicted.
type dictModel struct {
	now   time.Duration
	items map[string]*modelItem
}

type modelItem struct {
	value   any
	list    []any         // of a list, whose value is nil
	expires time.Duration // 0: never
}

func newModel() *dictModel { return &dictModel{items: map[string]*modelItem{}} }

// item returns what has a key, or nil.
func (m *dictModel) item(key string) *modelItem {
	i := m.items[key]
	if i != nil && i.expires > 0 && i.expires <= m.now {
		delete(m.items, key)
		return nil
	}
	return i
}

func (m *dictModel) until(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return 0
	}
	return m.now + ttl
}

// step is an operation, as the dictionary and the model do it.
type step struct {
	op         dictOp
	key        string
	value, old any
	ttl        time.Duration
}

func (s step) String() string {
	return fmt.Sprintf("%d %.20q %.20v %.20v %v", s.op, s.key, s.value, s.old, s.ttl)
}

// dictSteps are the operations that random makes.
var dictSteps = []dictOp{dictGet, dictGet, dictSet, dictSet, dictAdd, dictReplace, dictCAS, dictIncr, dictIncr, dictDelete, dictExpire,
	dictTTL, dictLPush, dictRPush, dictRPush, dictLPop, dictRPop, dictLLen}

// randomStep makes an operation on one of some keys. ttls: items may expire.
func randomStep(r *rand.Rand, prefix string, keys int, ttls bool) step {
	s := step{op: dictSteps[r.IntN(len(dictSteps))], key: prefix + randomKey(r, keys), value: randomValue(r)}
	if ttls && r.IntN(3) == 0 {
		s.ttl = time.Duration(1+r.IntN(1000)) * time.Second
	}
	switch s.op {
	case dictCAS:
		s.old = randomValue(r)
		if r.IntN(2) == 0 {
			s.old = int64(r.IntN(3))
		}
	case dictIncr:
		s.value = int64(r.IntN(5))
		if r.IntN(3) == 0 {
			s.value = float64(r.IntN(5)) / 2
		}
		if r.IntN(2) == 0 {
			s.old = int64(r.IntN(3))
		}
	case dictLPush, dictRPush:
		for s.value == nil || s.value == true || s.value == false {
			s.value = randomValue(r)
		}
	}
	return s
}

// randomKey is one of so many; some are long and begin alike.
func randomKey(r *rand.Rand, keys int) string {
	n := r.IntN(keys)
	key := fmt.Sprintf("k\x00%d", n)
	if n%5 == 0 {
		return strings.Repeat("long", n%300) + key
	}
	return key
}

func randomValue(r *rand.Rand) any {
	switch r.IntN(8) {
	case 0:
		return r.IntN(2) == 0
	case 1:
		return r.Float64()
	case 2, 3:
		return int64(r.IntN(3))
	case 4:
		return strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(3000))
	case 5:
		return nil
	}
	return strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(200))
}

// dictOutcome is what an operation has returned.
type dictOutcome struct {
	value any
	err   error
}

func (o dictOutcome) String() string { return fmt.Sprintf("%.40v %v", o.value, o.err) }

// do carries out a step on the dictionary.
func (s step) do(d *Dict) (o dictOutcome) {
	switch s.op {
	case dictGet:
		o.value, o.err = d.Get(s.key)
	case dictSet, dictAdd, dictReplace:
		o.err = d.store(s.op, s.key, s.value, s.ttl)
	case dictCAS:
		o.err = d.CAS(s.key, s.old, s.value)
	case dictIncr:
		o.value, o.err = d.Incr(s.key, s.value, s.old, s.ttl)
	case dictDelete:
		o.err = d.Delete(s.key)
	case dictExpire:
		o.err = d.Expire(s.key, s.ttl)
	case dictTTL:
		ttl, err := d.TTL(s.key)
		o = dictOutcome{ttl.Round(time.Second), err}
	case dictLPush, dictRPush:
		n, err := d.push(s.op, s.key, s.value)
		o = dictOutcome{n, err}
	case dictLPop:
		o.value, o.err = d.LPop(s.key)
	case dictRPop:
		o.value, o.err = d.RPop(s.key)
	case dictLLen:
		n, err := d.LLen(s.key)
		o = dictOutcome{n, err}
	}
	return o
}

// model carries out a step on the model.
func (s step) model(m *dictModel) dictOutcome {
	i := m.item(s.key)
	isList := i != nil && i.list != nil
	switch s.op {
	case dictGet:
		switch {
		case i == nil:
			return dictOutcome{nil, ErrDictNotFound}
		case isList:
			return dictOutcome{nil, ErrDictIsList}
		}
		return dictOutcome{i.value, nil}
	case dictAdd:
		if i != nil {
			return dictOutcome{nil, ErrDictExists}
		}
		m.store(s.key, s.value, m.until(s.ttl))
	case dictReplace:
		if i == nil {
			return dictOutcome{nil, ErrDictNotFound}
		}
		m.store(s.key, s.value, m.until(s.ttl))
	case dictSet:
		m.store(s.key, s.value, m.until(s.ttl))
	case dictCAS:
		return s.modelCAS(m, i)
	case dictIncr:
		return s.modelIncr(m, i)
	case dictDelete:
		if i == nil {
			return dictOutcome{nil, ErrDictNotFound}
		}
		delete(m.items, s.key)
	case dictExpire:
		if i == nil {
			return dictOutcome{nil, ErrDictNotFound}
		}
		i.expires = m.until(s.ttl)
	case dictTTL:
		switch {
		case i == nil:
			return dictOutcome{time.Duration(0), ErrDictNotFound}
		case i.expires == 0:
			return dictOutcome{time.Duration(0), nil}
		}
		return dictOutcome{i.expires - m.now, nil}
	default:
		return s.modelList(m, i, isList)
	}
	return dictOutcome{}
}

func (m *dictModel) store(key string, value any, expires time.Duration) {
	if value == nil {
		delete(m.items, key)
		return
	}
	m.items[key] = &modelItem{value: value, expires: expires}
}

func (s step) modelCAS(m *dictModel, i *modelItem) dictOutcome {
	switch {
	case i == nil && s.old != nil:
		return dictOutcome{nil, ErrDictNotFound}
	case i != nil && s.old == nil:
		return dictOutcome{nil, ErrDictExists}
	case i != nil && !sameValue(i.value, s.old):
		return dictOutcome{nil, ErrDictNotEqual}
	}
	expires := time.Duration(0)
	if i != nil {
		expires = i.expires
	}
	m.store(s.key, s.value, expires)
	return dictOutcome{}
}

func sameValue(a, b any) bool {
	x, xNumber := floatOf(a)
	y, yNumber := floatOf(b)
	if xNumber && yNumber {
		return x == y
	}
	return a == b
}

func floatOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func (s step) modelIncr(m *dictModel, i *modelItem) dictOutcome {
	start, expires := s.old, m.until(s.ttl)
	if i != nil {
		start, expires = i.value, i.expires
	}
	if i == nil && start == nil {
		return dictOutcome{nil, ErrDictNotFound}
	}
	x, isNumber := floatOf(start)
	if !isNumber {
		return dictOutcome{nil, ErrDictNotNumber}
	}
	y, _ := floatOf(s.value)
	var sum any = x + y
	if a, ok := start.(int64); ok {
		if b, ok := s.value.(int64); ok {
			sum = a + b
		}
	}
	m.store(s.key, sum, expires)
	return dictOutcome{sum, nil}
}

func (s step) modelList(m *dictModel, i *modelItem, isList bool) dictOutcome {
	pops := s.op == dictLPop || s.op == dictRPop
	switch {
	case i != nil && !isList && pops:
		return dictOutcome{nil, ErrDictNotList}
	case i != nil && !isList:
		return dictOutcome{0, ErrDictNotList}
	case i == nil && pops:
		return dictOutcome{nil, ErrDictNotFound}
	case i == nil && s.op == dictLLen:
		return dictOutcome{0, nil}
	case i == nil:
		i = &modelItem{list: []any{}}
		m.items[s.key] = i
	}
	o := dictOutcome{}
	switch s.op {
	case dictLPush:
		i.list = slices.Insert(i.list, 0, s.value)
	case dictRPush:
		i.list = append(i.list, s.value)
	case dictLPop:
		o.value, i.list = i.list[0], i.list[1:]
	case dictRPop:
		o.value, i.list = i.list[len(i.list)-1], i.list[:len(i.list)-1]
	}
	if pops {
		if len(i.list) == 0 {
			delete(m.items, s.key)
		}
		return o
	}
	return dictOutcome{len(i.list), nil}
}

// TestDictModel compares random operations with a model, while time passes.
func TestDictModel(t *testing.T) {
	for _, size := range []uint64{4 << 20, 32 << 20} {
		r := rand.New(rand.NewPCG(1, size))
		d, m := newDict(t, size), newModel()
		for n := range 60_000 {
			s := randomStep(r, "", 200, true)
			if got, want := s.do(d), s.model(m); got.String() != want.String() || !errors.Is(got.err, want.err) {
				t.Fatalf("step %d: %v: got %v, want %v", n, s, got, want)
			}
			if n%100 == 0 {
				by := time.Duration(r.IntN(100)) * time.Second
				d.skew(by)
				m.now += by
			}
		}
		if st := d.Stats(); st.Evicted > 0 || st.Repaired > 0 {
			t.Errorf("evicted and repaired: %+v", st)
		}
		checkKeys(t, d, m)
		d.Flush()
		if st := d.Stats(); st.Entries != 0 || st.Free != st.Capacity || len(d.Keys(0)) != 0 {
			t.Errorf("after flush: %+v", st)
		}
	}
}

// checkKeys compares the keys, and that nothing else takes room.
func checkKeys(t *testing.T, d *Dict, m *dictModel) {
	t.Helper()
	var want []string
	for key := range m.items {
		if m.item(key) != nil {
			want = append(want, key)
		}
	}
	got := d.Keys(0)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	for _, key := range got {
		d.Delete(key)
	}
	for range 1000 { // expired ones are removed when others are added, or found
		d.Set("x", "x", 0)
	}
	d.Delete("x")
	if st := d.Stats(); len(want) > 0 && st.Free+200*(5<<10) < st.Capacity {
		t.Errorf("empty, but %d bytes of %d are free", st.Free, st.Capacity)
	}
}
