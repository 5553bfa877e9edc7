package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// benchmark holds all runs of one benchmark.
type benchmark struct {
	group  string // "Head/browser": what is done
	name   string // "ours": by whom
	ns     []float64
	bytes  []float64
	allocs []float64
}

// base is the name of the benchmarks to which others are compared.
const base = "ours"

// resultLine is a line of go test, "BenchmarkHead/browser/ours-2  12345  678.9 ns/op  0 B/op  0 allocs/op".
var resultLine = regexp.MustCompile(`^Benchmark(\S+)/([^/\s]+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// parse reads the output of go test -bench. The order is that of the output.
func parse(output string) (all []*benchmark, err error) {
	for line := range strings.Lines(output) {
		m := resultLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		i := slices.IndexFunc(all, func(b *benchmark) bool { return b.group == m[1] && b.name == m[2] })
		if i < 0 {
			i = len(all)
			all = append(all, &benchmark{group: m[1], name: m[2]})
		}
		if err := all[i].add(strings.Fields(m[3])); err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
	}
	if len(all) == 0 {
		err = fmt.Errorf("go test has reported no benchmark:\n%s", output)
	}
	return all, err
}

// add takes pairs of number and unit.
func (b *benchmark) add(words []string) error {
	if len(words)%2 != 0 {
		return fmt.Errorf("a number without a unit")
	}
	for i := 0; i < len(words); i += 2 {
		v, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return err
		}
		switch words[i+1] {
		case "ns/op":
			b.ns = append(b.ns, v)
		case "B/op":
			b.bytes = append(b.bytes, v)
		case "allocs/op":
			b.allocs = append(b.allocs, v)
		}
	}
	return nil
}

// find returns the benchmark with a name in the group, or nil.
func find(all []*benchmark, group, name string) *benchmark {
	for _, b := range all {
		if b.group == group && b.name == name {
			return b
		}
	}
	return nil
}
