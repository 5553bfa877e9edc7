// Package workload contains the code shared by the handlers of the Go peers, so that all do the same work as the Lua
// handlers in benchmarks/scripts. Its functions are safe for concurrent use.
package workload
