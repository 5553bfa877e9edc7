// Command fasthttp answers the workloads of the comparison with the fasthttp library. It runs until a signal ends it.
package main
