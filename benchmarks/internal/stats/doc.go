// Package stats summarises repeated measurements: median, smallest and largest, and ratios of runs that belong together.
//
// A Summary is a value; nothing here keeps or changes the slices that it is given.
package stats
