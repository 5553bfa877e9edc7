// Command onloop answers the workloads of the comparison with Go handlers on the event loops of Moonbridge's engine, in
// the place of the Lua workers. It runs until a signal ends it.
package main
