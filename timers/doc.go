// Package timers keeps the deadlines of one event loop in a hierarchical timing wheel.
//
// Nouns: a Timer is one deadline. It is embedded in the structure that it serves, so that setting it allocates nothing.
// A Wheel holds the armed timers of one loop in 6 levels of 64 slots. A tick is one millisecond. A deadline is an
// absolute count of ticks on the clock that the owner passes to NewWheel and Advance; the wheel never reads a clock.
//
// Cost: Set and Cancel touch one or two lists and one bitmap word. Advance visits only occupied slots, so a jump of
// days costs no more than the timers that it passes. A timer moves down at most 5 times before it fires.
//
// Ownership: a Wheel and its timers belong to one goroutine. An armed Timer must not be moved in memory or copied.
//
// The package does not sleep, wake goroutines, order timers of the same tick, or know durations.
package timers
