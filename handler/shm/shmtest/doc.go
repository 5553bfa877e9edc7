// Package shmtest is the worker's half of the protocol in shared memory, for tests. Workers that run Lua have it in C; this
// is the same in Go. It finds its way by the numbers in the header alone, as C does, and shares no code with the server's
// half.
package shmtest
