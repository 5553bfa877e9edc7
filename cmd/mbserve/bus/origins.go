package bus

import "maps"

// origins knows the number of the last batch of those who append to the log. It forgets those who have appended nothing for long.
type origins struct {
	now, before map[uint64]uint64
	gap         map[uint64]uint64 // from before a gap: it is known that some are missing
}

// originsMax is how many origins are remembered at least, if there are so many.
const originsMax = 1024

// verdict says what a batch is to one who reads the log.
type verdict int

const (
	batchNext    verdict = iota // it follows the last one of its origin, or is the first
	batchAgain                  // the same was there before
	batchMissing                // one or more before it are missing
)

// miss says that batches of any origin may be missing from now on.
func (o *origins) miss() {
	if len(o.gap) > 2*originsMax {
		o.gap = nil
	}
	*o = origins{gap: o.all()}
}

// all are all that are remembered.
func (o *origins) all() map[uint64]uint64 {
	all := make(map[uint64]uint64)
	for _, m := range [...]map[uint64]uint64{o.gap, o.before, o.now} {
		maps.Copy(all, m)
	}
	return all
}

// look says what a batch is.
func (o *origins) look(origin, number uint64) verdict {
	last, ok := o.now[origin]
	if !ok {
		last, ok = o.before[origin]
	}
	if ok && number <= last || number <= o.gap[origin] {
		return batchAgain
	}
	if ok && number > last+1 {
		return batchMissing
	}
	return batchNext
}

// note takes note of a batch.
func (o *origins) note(origin, number uint64) {
	if o.now == nil || len(o.now) >= originsMax {
		o.now, o.before = make(map[uint64]uint64), o.now
	}
	o.now[origin] = number
}
