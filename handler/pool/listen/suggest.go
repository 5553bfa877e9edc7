package listen

import (
	"slices"
	"strings"
)

// Nearest is the name that a mistyped one looks like: at most two letters differ, and less than half of them. Empty if there
// is none.
func Nearest(name string, names []string) (best string) {
	if len(name) > 64 {
		return ""
	}
	names = slices.Sorted(slices.Values(names)) // one answer, whatever the order of a map
	least := min(3, (len(name)+1)/2)
	for _, n := range names {
		if d := distance(strings.ToLower(name), n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance counts the letters to add, drop, replace or swap with their neighbour.
func distance(a, b string) int {
	var prev2 []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j]+cost, prev[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], prev2[j-1]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}
