package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// The buckets of a histogram are those of a native histogram with schema 3: each is 2^(1/8) times as wide as the one before it, 9 %.
// Bucket k has values of more than 2^((k-1)/8) and at most 2^(k/8) seconds.
const (
	schema    = 3
	perOctave = 1 << schema
	// firstOctave: values of at most 2^firstOctave seconds, about a microsecond, are in bucket 0, the zero bucket.
	firstOctave = -20
	// lastOctave: values above 2^lastOctave seconds, more than an hour, are in the last bucket.
	lastOctave = 12

	buckets = (lastOctave-firstOctave)*perOctave + 2

	// Classic buckets are every second power of two from 2^firstClassic to 2^lastClassic: 0.24 ms to 64 s.
	firstClassic = -12
	lastClassic  = 6
)

// bounds are the upper bounds of the buckets in nanoseconds. The last bucket has none.
var bounds = func() (b [buckets]int64) {
	for i := range b {
		b[i] = int64(math.Exp2(firstOctave+float64(i)/perOctave) * 1e9)
	}
	b[buckets-1] = math.MaxInt64
	return b
}()

// firstBuckets are where to look for a duration, by the number of its bits and the three bits that follow the first one. It belongs to
// that bucket or to one of the next two.
var firstBuckets = func() (first [64 << schema]uint16) {
	i := uint16(0)
	for at := range first {
		least := int64(1) << (at >> schema) >> 1
		least += least >> schema * int64(at&(perOctave-1))
		for bounds[i] < least {
			i++
		}
		first[at] = i
	}
	return first
}()

// Histogram counts durations. Any goroutine may observe and read. It is fast while the same one observes.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64 // ns
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// bucketOf is the index of the bucket that a duration belongs to.
func bucketOf(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	n := bits.Len64(uint64(d))
	i := int(firstBuckets[n<<schema|int(uint64(d)<<schema>>(n-1))&(perOctave-1)])
	for bounds[i] < int64(d) {
		i++
	}
	return i
}

// Snapshot is what a histogram, or several, have counted.
type Snapshot struct {
	counts [buckets]uint64
	sum    int64
}

// Add adds what h has counted.
func (s *Snapshot) Add(h *Histogram) {
	for i := range h.counts {
		s.counts[i] += h.counts[i].Load()
	}
	s.sum += h.sum.Load()
}

// Count is the number of durations.
func (s *Snapshot) Count() (n uint64) {
	for _, c := range s.counts {
		n += c
	}
	return n
}

// Since is what was counted after an older snapshot.
func (s *Snapshot) Since(old *Snapshot) *Snapshot {
	d := *s
	for i := range d.counts {
		d.counts[i] -= old.counts[i]
	}
	d.sum -= old.sum
	return &d
}

// Quantile is a duration that this share of all did not exceed: the upper bound of a bucket. 0 if there are none.
func (s *Snapshot) Quantile(share float64) time.Duration {
	rank, seen := uint64(math.Ceil(share*float64(s.Count()))), uint64(0)
	for i, c := range s.counts {
		if seen += c; c > 0 && seen >= rank {
			return time.Duration(math.Exp2(float64(firstOctave)+float64(i)/perOctave) * 1e9)
		}
	}
	return 0
}

// metric is the snapshot as a metric of Prometheus, with both kinds of buckets.
func (s *Snapshot) metric() *dto.Histogram {
	h := &dto.Histogram{
		SampleCount: new(s.Count()), SampleSum: new(float64(s.sum) / 1e9),
		Schema: new(int32(schema)), ZeroThreshold: new(math.Exp2(firstOctave)), ZeroCount: new(s.counts[0]),
	}
	below, next := uint64(0), 0
	for octave := firstClassic; octave <= lastClassic; octave += 2 {
		for end := (octave - firstOctave) * perOctave; next <= end; next++ {
			below += s.counts[next]
		}
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(math.Exp2(float64(octave))), CumulativeCount: new(below)})
	}
	s.addNative(h)
	return h
}

// addNative adds the buckets of the native histogram that are not empty. Each count is given as the difference to the one before it.
func (s *Snapshot) addNative(h *dto.Histogram) {
	last, before := 0, int64(0)
	for i := 1; i < buckets; i++ {
		if s.counts[i] == 0 {
			continue
		}
		if last == i-1 && last > 0 {
			*h.PositiveSpan[len(h.PositiveSpan)-1].Length++
		} else {
			gap := i - last - 1 // the first span begins at the index of its bucket instead
			if last == 0 {
				gap = firstOctave*perOctave + i
			}
			h.PositiveSpan = append(h.PositiveSpan, &dto.BucketSpan{Offset: new(int32(gap)), Length: new(uint32(1))})
		}
		h.PositiveDelta = append(h.PositiveDelta, int64(s.counts[i])-before)
		last, before = i, int64(s.counts[i])
	}
	if len(h.PositiveSpan) == 0 && s.counts[0] == 0 {
		// An empty span tells an empty native histogram from one that has only classic buckets.
		h.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
}
