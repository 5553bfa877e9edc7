// Command micro runs the benchmarks of this folder with go test several times, and prints medians, spread, and ratios to the
// benchmark of the same case that is named "ours".
//
// The benchmarks compare the parsers of request and response heads with those of net/http and fasthttp, and measure the timing
// wheel beside Go's own timers and the queue between event loop and workers.
package main
