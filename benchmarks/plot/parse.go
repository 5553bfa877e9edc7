package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// turn is one line of the list of runs.
type turn struct {
	server    string
	conns     int
	perSecond float64
	p99       float64 // milliseconds; negative if it was not measured
}

// result holds the runs of one workload.
type result struct {
	workload string
	runs     []turn
}

// columns are separated by two blanks or more, since names contain single ones.
var columns = regexp.MustCompile(`\s{2,}`)

// parse reads the lists of runs from a result file.
func parse(text string) (all []result, err error) {
	var header []string // of the list that is being read
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "== workload "):
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "== workload "), ":")
			all = append(all, result{workload: name})
			header = nil
		case strings.HasPrefix(line, "round  conns  server"):
			header = columns.Split(line, -1)
		case line == "":
			header = nil
		case header != nil && len(all) > 0:
			r, err := parseRun(header, columns.Split(line, -1))
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number+1, err)
			}
			last := &all[len(all)-1]
			last.runs = append(last.runs, r)
		}
	}
	all = slices.DeleteFunc(all, func(r result) bool { return len(r.runs) == 0 })
	if len(all) == 0 {
		err = errors.New("no runs in it: it is not a result of compare")
	}
	return all, err
}

func parseRun(header, cells []string) (r turn, err error) {
	if len(cells) != len(header) {
		return r, fmt.Errorf("%d columns, want %d", len(cells), len(header))
	}
	cell := func(name string) string {
		if i := slices.Index(header, name); i >= 0 {
			return cells[i]
		}
		return ""
	}
	r.server = cell("server")
	if r.conns, err = strconv.Atoi(cell("conns")); err != nil || r.conns < 1 {
		return r, fmt.Errorf("number of connections %q", cell("conns"))
	}
	if r.perSecond, err = strconv.ParseFloat(cell("requests/s"), 64); err != nil {
		return r, fmt.Errorf("requests/s %q", cell("requests/s"))
	}
	r.p99 = -1
	if text := cell("p99 ms"); text != "-" {
		if r.p99, err = strconv.ParseFloat(text, 64); err != nil {
			return r, fmt.Errorf("p99 ms %q", text)
		}
	}
	return r, nil
}

// find returns the runs of a workload, or those of the only one if name is "".
func find(all []result, name string) (result, error) {
	var names []string
	for _, r := range all {
		if r.workload == name || name == "" && len(all) == 1 {
			return r, nil
		}
		names = append(names, r.workload)
	}
	return result{}, fmt.Errorf("choose a workload with -workload: %s", strings.Join(names, ", "))
}
