// Command workers measures what a Lua worker costs: the time to start it, its memory, and the time of a reload.
//
// It starts mbserve several times. The workers of scripts/workers.lua note when they are ready, by the clock of this
// program. Each round has new processes, and the report has the medians of the rounds.
package main
