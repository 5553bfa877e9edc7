package list

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type element struct {
	n     int
	links Links[element]
}

func linksOf(e *element) *Links[element] { return &e.links }

// Random calls do what they do to a slice.
func TestList(t *testing.T) {
	l := New(linksOf)
	var want, out []*element
	for n := range 50 {
		out = append(out, &element{n: n})
	}
	for range 20000 {
		switch what := rand.IntN(4); {
		case what < 2 && len(out) > 0:
			e := out[len(out)-1]
			out = out[:len(out)-1]
			if what == 0 {
				l.PushFront(e)
				want = slices.Insert(want, 0, e)
			} else {
				l.PushBack(e)
				want = append(want, e)
			}
		case what >= 2 && len(want) > 0:
			i := rand.IntN(len(want))
			l.Remove(want[i])
			out, want = append(out, want[i]), slices.Delete(want, i, i+1)
		}
		if got := slices.Collect(l.All()); !slices.Equal(got, want) || l.Len() != len(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		if len(want) == 0 {
			if l.First() != nil || l.Last() != nil {
				t.Fatal("an empty list has elements")
			}
		} else if l.First() != want[0] || l.Last() != want[len(want)-1] {
			t.Fatal("wrong ends")
		}
	}
}

// Elements may leave the list while it is gone through.
func TestRemoveInAll(t *testing.T) {
	l := New(linksOf)
	for n := range 10 {
		l.PushBack(&element{n: n})
	}
	seen := 0
	for e := range l.All() {
		if e.n != seen {
			t.Errorf("%d after %d", e.n, seen-1)
		}
		seen++
		l.Remove(e)
		if e.n == 8 {
			break
		}
	}
	if l.Len() != 1 || l.First().n != 9 || seen != 9 {
		t.Errorf("%d left, %d seen", l.Len(), seen)
	}
}

func BenchmarkPushRemove(b *testing.B) {
	l := New(linksOf)
	l.PushBack(&element{})
	e := new(element)
	for b.Loop() {
		l.PushFront(e)
		l.Remove(e)
	}
}
