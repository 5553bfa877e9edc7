// Command adapter answers the workloads of the comparison with the handlers of the peer nethttp, which Moonbridge's engine
// calls through handler.HTTP. It runs until a signal ends it.
package main
