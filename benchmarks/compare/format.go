package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/stats"
)

// number formats a value with three or more significant digits, or as "-" if it was not measured.
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

// spread formats a summary as "median (smallest–largest)".
func spread(s stats.Summary) string {
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// ratioSigns explains what ratio adds to a number.
const ratioSigns = "A ratio with ≈ is above 1 in some rounds and below 1 in others: these rounds show no difference. " +
	"One with ? is from a single round."

// ratio formats a median ratio with its spread and, unless all rounds agree, a sign that it is no difference. It is "-" if
// there is nothing to compare with.
func ratio(s stats.Summary) string {
	if math.IsNaN(s.Median) {
		return "-"
	}
	switch s.Verdict() {
	case stats.Unknown:
		return fmt.Sprintf("%.2f ?", s.Median)
	case stats.Equal:
		return fmt.Sprintf("%.2f ≈ (%.2f–%.2f)", s.Median, s.Min, s.Max)
	default:
		return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
	}
}

// milliseconds formats a latency, or "-" if it was not measured, so that it is readable over five orders of magnitude in one unit.
func milliseconds(d float64) string {
	if math.IsNaN(d) {
		return "-"
	}
	return strconv.FormatFloat(d/float64(time.Millisecond), 'f', 3, 64)
}

// lateness formats a summary of latencies.
func lateness(s stats.Summary) string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s–%s)", milliseconds(s.Median), milliseconds(s.Min), milliseconds(s.Max))
}

// percent formats CPU time as a share of the wall time of one core.
func percent(cpu, wall time.Duration) string {
	if wall <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(cpu)/float64(wall))
}

// troubles returns a description of the errors in a run, or "".
func troubles(m measurement) string {
	var out []string
	e := m.socketErrors()
	if e.Total() > 0 {
		out = append(out, fmt.Sprintf("socket errors: connect %d, read %d, write %d, timeout %d", e.Connect, e.Read, e.Write, e.Timeout))
	}
	if n := m.badStatus(); n > 0 {
		out = append(out, fmt.Sprintf("%d answers not 2xx", n))
	}
	if len(out) == 0 {
		return ""
	}
	return "  ! " + strings.Join(out, "; ")
}
