// Package shm is the memory that the server and its worker processes share, and the signals between them.
//
// Nouns: a [Segment] is one of the two mappings of a pool, "in" (written by the server) and "out" (written by workers);
// [Memory] is the pair of them. A cell holds one exchange: a control block and a window in each segment. A [Queue] is
// where the exchanges of one loop wait for a worker. The ready bitmap of a loop tells which of its cells the loop has to
// look at. A [Doorbell] wakes the other side if it sleeps. A
// [HeadBlock] is what an in-window begins with.
//
// This is the server's half. The worker's half is in C, in handler/worker; package shmtest has it in Go, for tests.
//
// The layout is written once, in layout.h; layout.go mirrors it, and a test where C is compiled compares every size and
// offset. Places are offsets, never pointers, and every typed view of the mapping is made in view.go, with a bounds
// check.
//
// Ownership: Memory is mapped until Close. Views and windows point into the mapping: after Close they are
// invalid, and reading them is a fault. A Queue belongs to its loop's goroutine; workers use its words in the segment only.
//
// The package trusts nothing in the out segment, but it judges nothing either: what a number means, and what is done about
// a wrong one, is decided in handler/pool. It does not start processes and does not know what an exchange is about.
package shm
