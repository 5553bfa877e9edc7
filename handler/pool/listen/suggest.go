package listen

import (
	"fmt"
	"maps"
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

// unknown is the error for an unknown name. If the name looks mistyped, it suggests the right one.
func unknown(what, name string, names []string) error {
	if like := Nearest(name, names); like != "" {
		return fmt.Errorf("unknown %s %.64q (did you mean %q?)", what, name, like)
	}
	return fmt.Errorf("unknown %s %.64q", what, name)
}

// otherNames are names under which other servers have what an option does.
var otherNames = map[string]string{
	"workers": "min_fork and max_fork", "processes": "min_fork and max_fork", "num_workers": "min_fork and max_fork",
	"threads": "max_fork", "timeout": "request_timeout", "handler": "connect", "on_request": "connect",
	"backlog": "queue_limit", "root": "static", "max_requests": "max_requests_per_fork",
}

// unknownOption is the error for an option of a pool. If it has no suggestion, it lists those that there are.
func unknownOption(name string) error {
	names := slices.Sorted(maps.Keys(poolOptions))
	all := append([]string{"connect"}, names...)
	if other := otherNames[name]; other != "" {
		return fmt.Errorf("unknown option %q: what it does elsewhere is done by %s here", name, other)
	}
	err := unknown("option", name, all)
	if Nearest(name, all) == "" {
		err = fmt.Errorf("%w; options are %s", err, strings.Join(all, ", "))
	}
	return err
}

// unknownParameter is the error for a parameter of a listener. Another proto may have it.
func unknownParameter(proto, name string) error {
	var others []string
	for other, names := range parameters {
		if names[name] != nil {
			others = append(others, other)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		return fmt.Errorf("unknown parameter of proto %s: %q is one of proto %s", proto, name, strings.Join(others, ", "))
	}
	names := append(slices.Collect(maps.Keys(parameters[proto])), "proto", "connect")
	return unknown("parameter of proto "+proto+":", name, names)
}
