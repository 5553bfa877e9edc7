// Command growth shows how many workers mbserve has over time, under a load that rises and falls in steps, with several
// sets of pool options.
//
// The handler waits for 20 ms, so that a worker answers 50 requests per second at the most, whatever the machine can do.
// Clients send the next request when they have the answer to the last one.
package main
