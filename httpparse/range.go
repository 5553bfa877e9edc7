package httpparse

import (
	"bytes"
	"math"
)

// ByteRange is a range of a representation: length bytes from offset.
type ByteRange struct{ Offset, Length int64 }

const (
	// RangesMax bounds the ranges of a request. Programs that read pages of a document out of order ask for a few; each costs a
	// part with a head of its own. A request with more gets the whole representation, which is always allowed (RFC 9110
	// §14.2).
	RangesMax = 16
	// rangeGap is how far apart two ranges may be and still become one: the head of a part is not shorter.
	rangeGap = 80
)

// RangeVerdict is what a Range field asks for.
type RangeVerdict uint8

const (
	// RangeIgnored: the field is malformed, has a unit other than bytes, or too many ranges. The answer is the whole
	// representation.
	RangeIgnored RangeVerdict = iota
	// RangeSatisfiable: the answer is 206 with the ranges.
	RangeSatisfiable
	// RangeUnsatisfiable: none of the ranges is in the representation. The answer is 416.
	RangeUnsatisfiable
)

// Ranges evaluates the value of a Range field for a representation of size bytes (RFC 9110 §14.1.2, §14.2). It appends the ranges to
// dst in the order of the field. Each has at least one byte and lies within the representation. Ranges that overlap, or between
// which there are only a few bytes, become one, in the place of the first. So together they are never longer than
// the representation, whatever the field says.
//
// An empty representation has no range that a response could name, so the field is ignored.
func Ranges(dst []ByteRange, value []byte, size int64) ([]ByteRange, RangeVerdict) {
	set, ok := rangeSet(value)
	if !ok || size == 0 {
		return dst, RangeIgnored
	}
	base, count := len(dst), 0
	for len(set) > 0 {
		var spec []byte
		spec, set = cutComma(set)
		if len(spec) == 0 {
			continue // RFC 9110 §5.6.1.2
		}
		r, ok := parseRange(spec, size)
		if count++; !ok || count > RangesMax {
			return dst[:base], RangeIgnored
		}
		if r.Length > 0 {
			dst = append(dst, r)
		}
	}
	switch {
	case count == 0:
		return dst, RangeIgnored
	case len(dst) == base:
		return dst, RangeUnsatisfiable
	}
	return dst[:base+coalesce(dst[base:])], RangeSatisfiable
}

// rangeSet returns what follows "bytes=".
func rangeSet(value []byte) (set []byte, ok bool) {
	const unit = "bytes="
	if len(value) < len(unit) || !EqualFold(value[:len(unit)], unit) {
		return nil, false
	}
	return value[len(unit):], true
}

func cutComma(b []byte) (element, rest []byte) {
	element, rest, _ = bytes.Cut(b, []byte(","))
	return TrimBlanks(element), rest
}

// parseRange reads one range-spec. The range is empty if none of it is in the representation. ok is false if it is malformed,
// or ends before it begins.
func parseRange(spec []byte, size int64) (r ByteRange, ok bool) {
	first, rest, hasFirst := position(spec)
	if len(rest) == 0 || rest[0] != '-' {
		return r, false
	}
	last, rest, hasLast := position(rest[1:])
	switch {
	case len(rest) > 0 || !hasFirst && !hasLast:
		return r, false
	case !hasFirst:
		n := min(last, size) // the last bytes
		return ByteRange{size - n, n}, true
	case hasLast && last < first:
		return r, false
	case first >= size:
		return r, true
	case !hasLast || last >= size:
		last = size - 1
	}
	return ByteRange{first, last - first + 1}, true
}

// position reads the digits at the start of b. A number that does not fit is the largest one.
func position(b []byte) (v int64, rest []byte, any bool) {
	for len(b) > 0 && '0' <= b[0] && b[0] <= '9' {
		if digit := int64(b[0] - '0'); v > (math.MaxInt64-digit)/10 {
			v = math.MaxInt64
		} else {
			v = 10*v + digit
		}
		b, any = b[1:], true
	}
	return v, b, any
}

// coalesce joins ranges that overlap or are close to each other, and returns how many are left at the front. A joined range takes
// the place of the first one in it. There are at most RangesMax, so comparing each with each is cheap.
func coalesce(ranges []ByteRange) int {
	n := 0
	for _, r := range ranges {
		place := n
		// A range that was joined with r may bring it near to another one, so the search starts again.
		for i := 0; i < n; i++ {
			if !near(ranges[i], r) {
				continue
			}
			r = join(ranges[i], r)
			place = min(place, i)
			copy(ranges[i:], ranges[i+1:n])
			n--
			i = -1
		}
		place = min(place, n)
		copy(ranges[place+1:n+1], ranges[place:n])
		ranges[place] = r
		n++
	}
	return n
}

func near(a, b ByteRange) bool {
	if a.Offset > b.Offset {
		a, b = b, a
	}
	return b.Offset-(a.Offset+a.Length) <= rangeGap
}

func join(a, b ByteRange) ByteRange {
	start := min(a.Offset, b.Offset)
	return ByteRange{start, max(a.Offset+a.Length, b.Offset+b.Length) - start}
}
