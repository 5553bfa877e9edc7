package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// dictOneShard is a size at which a dictionary has one shard, so that the order of use is that of all items.
const dictOneShard = 256 << 10

func TestDictOrder(t *testing.T) {
	d := newDict(t, dictOneShard)
	value := strings.Repeat("v", 1000)
	fill := func(from, n int) {
		t.Helper()
		for i := range n {
			if err := d.Set(fmt.Sprint(from+i), value, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(0, 100)
	if st := d.Stats(); st.Evicted != 0 || st.Entries != 100 {
		t.Fatalf("%+v", st)
	}
	d.Get("0")
	d.Incr("1", int64(1), nil, 0) // no number, so it is not used
	if got := d.Keys(2); !slices.Equal(got, []string{"0", "99"}) {
		t.Errorf("newest: %q", got)
	}
	for n := 100; d.Stats().Evicted == 0; n++ {
		fill(n, 1)
	}
	if _, err := d.Get("1"); !errors.Is(err, ErrDictNotFound) {
		t.Errorf("the oldest is still there: %v", err)
	}
	fill(1000, 50)
	if _, err := d.Get("0"); err != nil {
		t.Errorf("one that was used has gone: %v", err)
	}
	keys := d.Keys(0)
	fill(2000, 1)
	now := d.Keys(0)
	if now[0] != "2000" || !slices.Equal(now[1:], keys[:len(now)-1]) {
		t.Errorf("order: %q after %q", now, keys)
	}
}

func TestDictExpiry(t *testing.T) {
	d := newDict(t, dictOneShard)
	d.Set("a", "1", 10*time.Second)
	d.Set("b", int64(1), 0)
	d.skew(9 * time.Second)
	if ttl, err := d.TTL("a"); err != nil || ttl > time.Second || ttl <= 0 {
		t.Errorf("%v %v", ttl, err)
	}
	if ttl, err := d.TTL("b"); err != nil || ttl != 0 {
		t.Errorf("%v %v", ttl, err)
	}
	d.Expire("b", time.Minute)
	d.Incr("b", int64(1), nil, 0) // the time remains
	d.CAS("b", int64(2), "new")
	d.skew(2 * time.Second)
	if v, err := d.Get("a"); !errors.Is(err, ErrDictNotFound) {
		t.Errorf("%v %v", v, err)
	}
	if err := d.Add("a", "again", 0); err != nil {
		t.Error(err)
	}
	if v, err := d.Get("b"); v != "new" || err != nil {
		t.Errorf("%v %v", v, err)
	}
	d.skew(time.Minute)
	if got := d.Keys(0); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q", got)
	}
	if st := d.Stats(); st.Expired == 0 {
		t.Errorf("%+v", st)
	}
}

func TestDictFits(t *testing.T) {
	d := newDict(t, dictOneShard)
	capacity := int(d.Stats().Capacity)
	if err := d.Set("k", strings.Repeat("x", capacity), 0); !errors.Is(err, ErrDictTooLarge) {
		t.Errorf("%v", err)
	}
	d.Set("other", "1", 0)
	large := strings.Repeat("x", capacity-128)
	if err := d.Set("k", large, 0); err != nil {
		t.Errorf("%v", err)
	}
	if _, err := d.Get("other"); !errors.Is(err, ErrDictNotFound) {
		t.Errorf("both fit: %v", err)
	}
	if err := d.Set("k", large+"y", 0); err != nil { // there is no room for both
		t.Errorf("%v", err)
	}
	if v, err := d.Get("k"); v != large+"y" || err != nil {
		t.Errorf("%v", err)
	}
	for n := 0; ; n++ {
		if _, err := d.RPush("list", large[:20_000]); err != nil {
			if n < 5 || !errors.Is(err, ErrDictNoMemory) {
				t.Errorf("push %d: %v", n, err)
			}
			break
		}
	}
	for _, key := range []string{"", strings.Repeat("k", 1<<16)} {
		if err := d.Set(key, "v", 0); err == nil {
			t.Errorf("a key of %d bytes", len(key))
		}
	}
	long := strings.Repeat("k", 1<<16-1)
	if err := d.Set(long, "v", 0); err != nil {
		t.Error(err)
	}
	if v, err := d.Get(long); v != "v" || err != nil {
		t.Errorf("%v %v", v, err)
	}
}

// All memory comes back, however it was used.
func TestDictLeaks(t *testing.T) {
	d, m := newDict(t, 4<<20), newModel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 30_000 {
		s := randomStep(r, "", 300, false)
		if got, want := s.do(d), s.model(m); got.String() != want.String() {
			t.Fatalf("%v: got %v, want %v", s, got, want)
		}
	}
	for _, key := range d.Keys(0) {
		if err := d.Delete(key); err != nil {
			t.Errorf("%.20q: %v", key, err)
		}
	}
	if st := d.Stats(); st.Free != st.Capacity || st.Entries != 0 {
		t.Errorf("%+v", st)
	}
}

func TestDictLimit(t *testing.T) {
	d := newDict(t, dictOneShard)
	take := func(want bool, retry time.Duration, remaining int) {
		t.Helper()
		ok, wait, left, err := d.Limit("k", 2, 3, 1)
		if ok != want || left != remaining || err != nil || wait > retry || wait < retry-100*time.Millisecond {
			t.Errorf("got %v %v %d %v, want %v %v %d", ok, wait, left, err, want, retry, remaining)
		}
	}
	take(true, 0, 2)
	take(true, 0, 1)
	take(true, 0, 0)
	take(false, 500*time.Millisecond, 0)
	d.skew(500 * time.Millisecond)
	take(true, 0, 0)
	take(false, 500*time.Millisecond, 0)
	d.skew(time.Hour)
	take(true, 0, 2)
	d.Set("value", "v", 0)
	if _, _, _, err := d.Limit("value", 1, 1, 1); !errors.Is(err, ErrDictNotLimit) {
		t.Error(err)
	}
	// Another limit for the same key: what was counted does not keep it closed for ever.
	for range 10 {
		d.Limit("slow", 0.001, 10, 1)
	}
	d.skew(time.Second)
	if ok, wait, _, _ := d.Limit("slow", 100, 10, 1); ok || wait > 100*time.Millisecond {
		t.Errorf("%v %v", ok, wait)
	}
}

// Goroutines on many threads, with locks that are taken.
func TestDictThreads(t *testing.T) {
	d := newDict(t, dictOneShard)
	var all sync.WaitGroup
	const threads, each = 8, 5000
	for range threads {
		all.Go(func() {
			for range each {
				d.Incr("n", int64(1), int64(0), 0)
			}
		})
	}
	all.Wait()
	if v, err := d.Get("n"); v != int64(threads*each) || err != nil {
		t.Errorf("%v %v", v, err)
	}
}

// TestDictScribble overwrites the memory while it is used. Whatever the operations return, they return.
func TestDictScribble(t *testing.T) {
	d, m := newDictMemory(t, dictOneShard)
	b, err := unix.Mmap(int(m.File.Fd()), 0, int(m.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range 300 {
		for range 200 {
			randomStep(r, "", 100, true).do(d)
		}
		scribble(r, b, round)
		for range 50 {
			randomStep(r, "", 100, true).do(d)
		}
		d.Keys(0)
		d.Stats()
	}
	d.Flush()
	if err := d.Set("k", "v", 0); err != nil {
		t.Errorf("after a flush: %v", err)
	}
	if v, err := d.Get("k"); v != "v" || err != nil {
		t.Errorf("after a flush: %v %v", v, err)
	}
}

// scribble overwrites some words: the control block, buckets and links, or blocks; with anything, or with numbers that look
// like references.
func scribble(r *rand.Rand, b []byte, round int) {
	from, to := 0, len(b)
	switch round % 4 {
	case 0:
		from, to = 64, 256
	case 1:
		from, to = 256, 256+16<<10
	case 2:
		to = 256 // the lock, too
	}
	for range 1 + r.IntN(40) {
		at := from + 4*r.IntN((to-from)/4)
		word := r.Uint32()
		if r.IntN(2) == 0 {
			word = uint32(r.IntN(4))<<30 | uint32(r.IntN(2000))
		}
		if at == 0 {
			word = 1<<29 | word&0xc000_0000 // nobody's: an owner that lives is waited for
		}
		*(*uint32)(unsafe.Pointer(&b[at])) = word
	}
}

// While one goroutine overwrites the memory all the time, the others come to an end.
func TestDictScribbleAllTheTime(t *testing.T) {
	d, m := newDictMemory(t, dictOneShard)
	b, err := unix.Mmap(int(m.File.Fd()), 0, int(m.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	stop := make(chan struct{})
	var scribbler, users sync.WaitGroup
	scribbler.Go(func() {
		r := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
				scribble(r, b[64:], 3)
			}
		}
	})
	for n := range uint64(3) {
		users.Go(func() {
			r := rand.New(rand.NewPCG(n, 2))
			for range 500 {
				randomStep(r, "", 100, true).do(d)
			}
		})
	}
	users.Wait()
	close(stop)
	scribbler.Wait()
}

func TestDictSizes(t *testing.T) {
	if _, err := shm.CreateDictionary(shm.DictionaryMin - 1); err == nil {
		t.Error("too small")
	}
	if _, err := shm.CreateDictionary(shm.DictionaryMax + 1); err == nil {
		t.Error("too large")
	}
	for _, size := range []uint64{shm.DictionaryMin, 100_001, 3 << 20, 64 << 20, 1<<30 + 12345} {
		d := newDict(t, size)
		if err := d.Set("k", "v", 0); err != nil {
			t.Errorf("%d: %v", size, err)
		}
		if st := d.Stats(); st.Capacity > size || st.Capacity < size*8/10 {
			t.Errorf("%d: %+v", size, st)
		}
		if v, err := d.Get("k"); v != "v" || err != nil {
			t.Errorf("%d: %v %v", size, v, err)
		}
	}
}

// An item that takes the place of one beside which there is no room for it removes no others.
func TestDictReplacesLarge(t *testing.T) {
	d := newDict(t, dictOneShard)
	for i := range 20 {
		d.Set(fmt.Sprint(i), "v", 0)
	}
	large := strings.Repeat("x", int(d.Stats().Capacity)*6/10)
	for _, value := range []string{large, large[1:], large} {
		if err := d.Set("k", value, 0); err != nil {
			t.Fatal(err)
		}
		if v, err := d.Get("k"); v != value || err != nil {
			t.Errorf("%v", err)
		}
	}
	if st := d.Stats(); st.Evicted != 0 || st.Entries != 21 {
		t.Errorf("%+v", st)
	}
	if err := d.Set("k", strings.Repeat("x", int(d.Stats().Capacity)), 0); !errors.Is(err, ErrDictTooLarge) {
		t.Errorf("%v", err)
	}
	if v, err := d.Get("k"); v != large || err != nil {
		t.Errorf("after a value that is too large: %v", err)
	}
}
