// Command nethttp answers the workloads of the comparison with Go's net/http. It listens until it is ended by a signal.
package main
