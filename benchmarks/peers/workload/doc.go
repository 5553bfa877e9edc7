// Package workload holds what the handlers of the peers written in Go have in common, so that both do the same work as
// the Lua handlers in benchmarks/scripts. Its functions may be called from any goroutine.
package workload
