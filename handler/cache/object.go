package cache

import (
	"slices"

	"moonbridge/handler/list"
)

// variantsMax bounds the variants of a key. Beyond it the one that was used least recently goes.
const variantsMax = 16

// object is what the store knows about a key. It belongs to its shard, whose lock protects it.
type object struct {
	key      string
	varies   []string // those of the last response that came
	variants []*variant
	fills    []*fill // in progress, at most one for each value of the fields that vary
	gone     bool    // it is not in the map any more: what its fills bring is not kept

	touched int64 // when it was used last
	listed  bool  // it is in the list of its shard, and may go
	links   list.Links[object]
}

func (o *object) cost() int64 { return objectCost + int64(len(o.key)) }

// match returns the newest variant that answers q, by the fields that Vary names (RFC 9111 §4.1). It may be stale.
func (o *object) match(q *query) *variant {
	var found *variant
	for _, v := range o.variants {
		if found != nil && found.born > v.born {
			continue
		}
		if len(v.varies) > 0 {
			secondary, ok := q.secondaryOf(v.varies)
			if !ok || string(secondary) != v.secondary {
				continue
			}
		}
		if q.acceptsCoding(v) {
			found = v
		}
	}
	return found
}

// put adds a variant, in place of those that answer the same requests. It returns the variants that have to be released.
func (o *object) put(v *variant) (out []*variant) {
	kept := o.variants[:0]
	for _, old := range o.variants {
		if old.secondary == v.secondary && slices.Equal(old.varies, v.varies) {
			out = append(out, old)
		} else {
			kept = append(kept, old)
		}
	}
	clear(o.variants[len(kept):])
	if o.variants = kept; len(kept) == variantsMax {
		out = append(out, o.takeOldest())
	}
	o.variants = append(o.variants, v)
	o.varies = v.varies
	return out
}

func (o *object) takeOldest() *variant {
	oldest := 0
	for i, v := range o.variants {
		if v.used < o.variants[oldest].used {
			oldest = i
		}
	}
	v := o.variants[oldest]
	o.remove(v)
	return v
}

// remove takes a variant out. false: it is not there.
func (o *object) remove(v *variant) bool { return remove(&o.variants, v) }

// remove takes one element out of a list, whose order does not matter. false: it is not there.
func remove[E comparable](list *[]E, one E) bool {
	l := *list
	i, last := slices.Index(l, one), len(l)-1
	if i < 0 {
		return false
	}
	l[i] = l[last]
	clear(l[last:])
	*list = l[:last]
	return true
}

// fillFor returns the fill in progress whose response may answer q, as far as is known.
func (o *object) fillFor(secondary []byte) *fill {
	for _, f := range o.fills {
		if f.secondary == string(secondary) {
			return f
		}
	}
	return nil
}
