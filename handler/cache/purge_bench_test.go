package cache

import (
	"fmt"
	"testing"
)

// BenchmarkPurgePrefix removes 100 of 10,000 keys. They are put back outside of the measured time.
func BenchmarkPurgePrefix(b *testing.B) {
	s := newStore(1<<30, 1<<20)
	put := func(key string) {
		sh, hash := s.place([]byte(key))
		sh.mu.Lock()
		f := s.lead(sh, hash, mustObject(s, sh, key), nil, &query{key: []byte(key)}, nil)
		sh.mu.Unlock()
		f1 := facts{status: 200, lifetime: 1000}
		v := newVariant(&f1, "", []byte("HTTP/1.1 200 OK\r\n"), make([]byte, 1000), 0)
		if !s.admit(v, 0) {
			b.Fatal("no room")
		}
		f.finish(v, 0, 0)
	}
	for i := range 10_000 {
		put(fmt.Sprintf("www.example.com/news/%d/article-%d.html", i%100, i))
	}
	for b.Loop() {
		if n := s.purgePrefix("www.example.com/news/7/"); n != 100 {
			b.Fatalf("%d are removed", n)
		}
		b.StopTimer()
		for i := 7; i < 10_000; i += 100 {
			put(fmt.Sprintf("www.example.com/news/%d/article-%d.html", i%100, i))
		}
		b.StartTimer()
	}
}

// mustObject returns the object for a key. The lock of the shard is held.
func mustObject(s *Store, sh *shard, key string) *object {
	o, made := sh.object([]byte(key), 0)
	if made {
		s.used.Add(o.cost())
	}
	return o
}
