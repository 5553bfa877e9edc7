package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/stats"
)

// number writes a value with three or more significant digits, and "-" for what was not measured.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// spread writes "median (smallest–largest)".
func spread(s stats.Summary) string {
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// ratio writes a median ratio with its spread, and "-" where there is nothing to compare with.
func ratio(s stats.Summary) string {
	if math.IsNaN(s.Median) {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// milliseconds makes a latency readable over five orders of magnitude in one unit.
func milliseconds(d float64) string {
	if math.IsNaN(d) {
		return "-"
	}
	return strconv.FormatFloat(d/float64(time.Millisecond), 'f', 3, 64)
}

// percent writes CPU time as a part of the wall time of one core.
func percent(cpu, wall time.Duration) string {
	if wall <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(cpu)/float64(wall))
}

// troubles says what went wrong in a run, or "".
func troubles(m measurement) string {
	var out []string
	if n := m.wrk.Errors.Total(); n > 0 {
		e := m.wrk.Errors
		out = append(out, fmt.Sprintf("socket errors: connect %d, read %d, write %d, timeout %d", e.Connect, e.Read, e.Write, e.Timeout))
	}
	if m.wrk.BadStatus > 0 {
		out = append(out, fmt.Sprintf("%d answers not 2xx", m.wrk.BadStatus))
	}
	if len(out) == 0 {
		return ""
	}
	return "  ! " + strings.Join(out, "; ")
}
