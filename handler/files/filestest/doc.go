// Package filestest loads the cases of conditional requests and ranges, which are written down in testdata/cases.txt, for tests of
// everything that sends files.
package filestest
