package stats

import (
	"math"
	"slices"
)

// Summary summarises a series of measurements. All fields are NaN for an empty series.
type Summary struct {
	Median, Min, Max float64
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
		return Summary{nan, nan, nan}
	}
	slices.Sort(finite)
	return Summary{Median: quantileSorted(finite, 0.5), Min: finite[0], Max: finite[len(finite)-1]}
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
