// Command fasthttp answers the workloads of the comparison with the fasthttp library. It listens until it is ended by a
// signal.
package main
