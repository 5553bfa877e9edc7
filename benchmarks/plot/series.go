package main

import (
	"fmt"
	"slices"

	"moonbridge/benchmarks/internal/stats"
)

// point is what a server reached at a number of connections.
type point struct {
	conns int
	stats.Summary
}

// line is one line of a diagram: the points of a server, in order of connections.
type line struct {
	server string
	color  string
	points []point
}

// colors are told apart by people who do not see red and green, too. Each server always has the same one.
var colors = map[string]string{
	"mbserve": "#0072b2", "nginx": "#d55e00", "nethttp": "#009e73", "fasthttp": "#cc79a7", "onloop": "#56b4e9", "gnet": "#e69f00",
	"limit": "#777777",
}

// lines returns the medians of a value for the servers, all if there are no names. Values below 0 were not measured.
func (r result) lines(names []string, value func(turn) float64) ([]line, error) {
	if len(names) == 0 {
		names = r.servers()
	}
	var out []line
	for _, name := range names {
		values := make(map[int][]float64)
		for _, one := range r.runs {
			if v := value(one); one.server == name && v >= 0 {
				values[one.conns] = append(values[one.conns], v)
			}
		}
		l := line{server: name, color: colors[name]}
		if l.color == "" {
			l.color = "#000000"
		}
		for conns, list := range values {
			l.points = append(l.points, point{conns, stats.Summarise(list)})
		}
		slices.SortFunc(l.points, func(a, b point) int { return a.conns - b.conns })
		if !slices.Contains(r.servers(), name) {
			return nil, fmt.Errorf("no runs of server %q", name)
		}
		out = append(out, l)
	}
	return out, nil
}

// servers returns the names of the servers in order of appearance.
func (r result) servers() (names []string) {
	for _, one := range r.runs {
		if !slices.Contains(names, one.server) {
			names = append(names, one.server)
		}
	}
	return names
}
