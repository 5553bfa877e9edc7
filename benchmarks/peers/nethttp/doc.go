// Command nethttp answers the workloads of the comparison with Go's net/http. It runs until a signal ends it.
package main
