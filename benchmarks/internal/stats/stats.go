package stats

import (
	"fmt"
	"math"
	"slices"
)

// Summary summarises a series of measurements. The values are NaN for an empty series.
type Summary struct {
	Median, Min, Max float64
	N                int // number of finite values
}

// Spread formats a summary as "median (smallest–largest)", each with format.
func (s Summary) Spread(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.Median, s.Min, s.Max)
}

// MeanError formats ratios of rounds as "mean ± its standard error (smallest–largest)". No rounds are those that others are compared
// with: 1.
func MeanError(ratios []float64) string {
	n := float64(len(ratios))
	if n == 0 {
		return "1"
	}
	if n == 1 {
		return Summarise(ratios).Spread("%.2f")
	}
	mean, square := 0.0, 0.0
	for _, v := range ratios {
		mean += v / n
	}
	for _, v := range ratios {
		square += (v - mean) * (v - mean)
	}
	return fmt.Sprintf("%.2f ± %.2f (%.2f–%.2f)", mean, math.Sqrt(square/(n-1)/n), slices.Min(ratios), slices.Max(ratios))
}

// Verdict says what a series of ratios shows.
type Verdict int

const (
	// Unknown: fewer than two rounds, so there is no spread.
	Unknown Verdict = iota
	// Equal: the ratios lie on both sides of 1, so the difference is within its spread.
	Equal
	// Different: all ratios lie on the same side of 1.
	Different
)

// Verdict judges a summary of ratios.
func (s Summary) Verdict() Verdict {
	switch {
	case s.N < 2:
		return Unknown
	case s.Min <= 1 && s.Max >= 1:
		return Equal
	default:
		return Different
	}
}

// Summarise returns the summary of the finite values of a series; NaN and infinities stand for "not measured".
func Summarise(values []float64) Summary {
	finite := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			finite = append(finite, v)
		}
	}
	if len(finite) == 0 {
		nan := math.NaN()
		return Summary{nan, nan, nan, 0}
	}
	slices.Sort(finite)
	return Summary{Median: quantileSorted(finite, 0.5), Min: finite[0], Max: finite[len(finite)-1], N: len(finite)}
}

// Ratios divides a[i] by b[i] for as many rounds as both have. Runs of the same round are close together in time, so a
// disturbance of the machine affects both. The ratio of two medians would not have that property.
func Ratios(a, b []float64) []float64 {
	n := min(len(a), len(b))
	out := make([]float64, n)
	for i := range n {
		out[i] = a[i] / b[i]
	}
	return out
}

// Quantile returns the q-quantile (0 to 1) of the series, with linear interpolation, or NaN for an empty series.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return quantileSorted(sorted, q)
}

func quantileSorted(sorted []float64, q float64) float64 {
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}
