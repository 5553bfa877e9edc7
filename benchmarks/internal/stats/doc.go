// Package stats summarises repeated measurements: median, smallest and largest value, and ratios of corresponding runs.
//
// No function keeps or changes its argument slices.
package stats
