package stats

import (
	"math"
	"slices"
	"testing"
)

func TestSummarise(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name string
		in   []float64
		want Summary
	}{
		{"one", []float64{7}, Summary{7, 7, 7, 1}},
		{"odd, unsorted", []float64{3, 1, 2}, Summary{2, 1, 3, 3}},
		{"even: mean of the two in the middle", []float64{4, 1, 3, 2}, Summary{2.5, 1, 4, 4}},
		{"one outlier does not move the median", []float64{10, 11, 1000}, Summary{11, 10, 1000, 3}},
		{"missing measurements are left out", []float64{nan, 5, math.Inf(1), 7}, Summary{6, 5, 7, 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.in)
			if got := Summarise(test.in); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			for i, v := range test.in {
				if v != before[i] && !math.IsNaN(v) {
					t.Errorf("the series was changed: %v", test.in)
				}
			}
		})
	}
	for _, empty := range [][]float64{nil, {nan}} {
		s := Summarise(empty)
		if !math.IsNaN(s.Median) || !math.IsNaN(s.Min) || !math.IsNaN(s.Max) {
			t.Errorf("Summarise(%v) = %v, want NaN", empty, s)
		}
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct {
		name string
		in   []float64
		want Verdict
	}{
		{"nothing", nil, Unknown},
		{"one round", []float64{1.5}, Unknown},
		{"one round and one without a measurement", []float64{1.5, math.NaN()}, Unknown},
		{"on both sides", []float64{0.9, 1.5, 1.6}, Equal},
		{"exactly one is not above", []float64{1, 1.5}, Equal},
		{"above", []float64{1.01, 1.5}, Different},
		{"below", []float64{0.5, 0.99}, Different},
	}
	for _, test := range tests {
		if got := Summarise(test.in).Verdict(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRatios(t *testing.T) {
	got := Ratios([]float64{10, 30, 8}, []float64{5, 10})
	if want := []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Ratios([]float64{1}, []float64{0}); !math.IsInf(got[0], 1) {
		t.Errorf("division by an empty run: got %v", got)
	}
}

func TestQuantile(t *testing.T) {
	series := []float64{40, 10, 20, 30, 50}
	tests := []struct{ q, want float64 }{{0, 10}, {0.25, 20}, {0.5, 30}, {0.9, 46}, {1, 50}, {-1, 10}, {2, 50}}
	for _, test := range tests {
		if got := Quantile(series, test.q); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("Quantile(%v) = %v, want %v", test.q, got, test.want)
		}
	}
	if got := Quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("Quantile of nothing = %v, want NaN", got)
	}
}
