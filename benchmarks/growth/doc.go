// Command growth shows the number of mbserve workers over time, under a load that rises and falls in steps, with
// several sets of pool options.
//
// The handler waits for 20 ms, so that a worker answers at most 50 requests per second on any machine. A client sends
// its next request when it has the answer to the last one.
package main
