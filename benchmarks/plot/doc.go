// Command plot draws a workload of a result of compare as a picture: throughput and 99th percentile of the latency against
// the number of connections, as SVG. It reads the list of all runs and draws medians, with a bar from the smallest to the
// largest value. It draws nothing that is not in the file.
package main
