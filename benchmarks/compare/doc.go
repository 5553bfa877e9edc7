// Command compare measures mbserve against other HTTP servers with equal handlers on one machine.
//
// All servers of a workload run during the whole comparison. One of them is loaded at a time, and they take turns: in
// each round and at each number of connections every server has its turn, in an order that rotates. So a disturbance of
// the machine affects all of them, and ratios are computed between runs that are seconds apart. The result is a text
// file.
//
// A run is one turn of one server. A round is one pass over all numbers of connections.
package main
