package httpparse

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	const ignored, unsatisfiable = "ignored", "unsatisfiable"
	for _, c := range []struct {
		value string
		size  int64
		want  string // "offset+length …"
	}{
		{"bytes=0-0", 1000, "0+1"},
		{"bytes=0-999", 1000, "0+1000"},
		{"bytes=0-", 1000, "0+1000"},
		{"bytes=500-", 1000, "500+500"},
		{"bytes=999-", 1000, "999+1"},
		{"bytes=500-5000", 1000, "500+500"},
		{"bytes=-1", 1000, "999+1"},
		{"bytes=-1000", 1000, "0+1000"},
		{"bytes=-2000", 1000, "0+1000"},
		{"bytes=-0", 1000, unsatisfiable},
		{"bytes=1000-", 1000, unsatisfiable},
		{"bytes=1000-1001", 1000, unsatisfiable},
		{"bytes=1000-,2000-", 1000, unsatisfiable},
		{"bytes=1000-,0-0", 1000, "0+1"},
		{"bytes=-0,0-0", 1000, "0+1"},
		{"BYTES=0-0", 1000, "0+1"},
		{"bytes=0-0,500-599", 1000, "0+1 500+100"},
		{"bytes=500-599,0-0", 1000, "500+100 0+1"},
		{"bytes= 0-0 ,\t500-599 ", 1000, "0+1 500+100"},
		{"bytes=,0-0,,500-599,", 1000, "0+1 500+100"},
		{"bytes=0-99,50-149", 1000, "0+150"},
		{"bytes=0-99,100-199", 1000, "0+200"},
		{"bytes=0-99,180-199", 1000, "0+200"}, // a gap of 80 bytes
		{"bytes=0-99,181-199", 1000, "0+100 181+19"},
		{"bytes=0-0,500-500,0-999", 1000, "0+1000"},
		{"bytes=900-999,0-0,400-450,0-600", 1000, "900+100 0+601"},
		{"bytes=400-410,0-10,150-260,11-320", 1000, "0+411"},
		{"bytes=0-,0-,0-", 1000, "0+1000"},
		{"bytes=0-0,-1", 1000, "0+1 999+1"},
		{"bytes=00000000000000000000000000000-00000000000000000000000000001", 1000, "0+2"},
		{"bytes=0-99999999999999999999999999", 1000, "0+1000"},
		{"bytes=99999999999999999999999999-", 1000, unsatisfiable},
		{"bytes=-99999999999999999999999999", 1000, "0+1000"},
		{"bytes=99999999999999999999999998-99999999999999999999999997", 1000, unsatisfiable}, // both are cut to the same number
		{"bytes=0-9", math.MaxInt64, "0+10"},
		{"bytes=9223372036854775806-", math.MaxInt64, "9223372036854775806+1"},
		{"bytes=5-4", 1000, ignored},
		{"bytes=0-0,5-4", 1000, ignored},
		{"bytes=2000-1999", 1000, ignored},
		{"bytes=", 1000, ignored},
		{"bytes=,", 1000, ignored},
		{"bytes=-", 1000, ignored},
		{"bytes=--1", 1000, ignored},
		{"bytes=0", 1000, ignored},
		{"bytes=0-0-0", 1000, ignored},
		{"bytes=0 - 0", 1000, ignored},
		{"bytes=0-0;500-599", 1000, ignored},
		{"bytes=0-0 500-599", 1000, ignored},
		{"bytes=a-b", 1000, ignored},
		{"bytes=0x0-0xf", 1000, ignored},
		{"bytes=+0-1", 1000, ignored},
		{"bytes =0-0", 1000, ignored},
		{"bytes:0-0", 1000, ignored},
		{"bytes", 1000, ignored},
		{"", 1000, ignored},
		{"lines=0-0", 1000, ignored},
		{"items=a;b", 1000, ignored},
		{"byte=0-0", 1000, ignored},
		{"0-0", 1000, ignored},
		{"bytes=0-0", 0, ignored},
		{"bytes=0-", 0, ignored},
		{"bytes=-5", 0, ignored},
		{"bytes=" + strings.Repeat("0-0,", RangesMax), 1000, "0+1"},
		{"bytes=" + strings.Repeat("0-0,", RangesMax+1), 1000, ignored},
		{"bytes=" + strings.Repeat("5000-,", RangesMax+1), 1000, ignored},
	} {
		if got := rangesText(c.value, c.size); got != c.want {
			t.Errorf("%q of %d bytes: %s, want %s", c.value, c.size, got, c.want)
		}
	}
}

func rangesText(value string, size int64) string {
	ranges, verdict := Ranges(nil, []byte(value), size)
	switch verdict {
	case RangeIgnored:
		return "ignored"
	case RangeUnsatisfiable:
		return "unsatisfiable"
	}
	var parts []string
	for _, r := range ranges {
		parts = append(parts, fmt.Sprintf("%d+%d", r.Offset, r.Length))
	}
	return strings.Join(parts, " ")
}

func TestRangesKeepsWhatIsThere(t *testing.T) {
	there := []ByteRange{{1, 2}}
	for _, value := range []string{"bytes=5-6", "bytes=x", "bytes=100-"} {
		if got, _ := Ranges(there, []byte(value), 10); got[0] != there[0] {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// FuzzRanges: the ranges lie in the representation, apart from each other, and cover what was asked for.
func FuzzRanges(f *testing.F) {
	for _, value := range []string{"bytes=0-0,5-9,-3", "bytes=900-999,0-0,400-450,0-600", "bytes=1-,2-", "bytes=-0", "lines=1-2"} {
		f.Add(value, int64(1000))
	}
	f.Fuzz(func(t *testing.T, value string, size int64) {
		if size < 0 {
			return
		}
		ranges, verdict := Ranges(nil, []byte(value), size)
		if (verdict == RangeSatisfiable) != (len(ranges) > 0) {
			t.Fatalf("%d ranges with verdict %d", len(ranges), verdict)
		}
		var total int64
		for i, r := range ranges {
			if r.Offset < 0 || r.Length <= 0 || r.Offset > size-r.Length {
				t.Fatalf("%v is not in %d bytes", r, size)
			}
			total += r.Length
			for _, other := range ranges[:i] {
				if near(r, other) {
					t.Errorf("%v and %v are not joined", r, other)
				}
			}
		}
		if total > size || len(ranges) > RangesMax {
			t.Errorf("%d bytes in %d ranges of %d", total, len(ranges), size)
		}
		if len(ranges) == 0 {
			return
		}
		for spec := range strings.SplitSeq(value[len("bytes="):], ",") {
			r, ok := parseRange([]byte(TrimBlanks(spec)), size)
			if ok && r.Length > 0 && !slices.ContainsFunc(ranges, func(in ByteRange) bool {
				return in.Offset <= r.Offset && in.Offset+in.Length >= r.Offset+r.Length
			}) {
				t.Errorf("%v is not in %v", r, ranges)
			}
		}
	})
}
