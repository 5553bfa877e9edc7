// Package timers keeps the deadlines of one event loop in a hierarchical timing wheel.
//
// Nouns: a Timer is one deadline; it is embedded in what it belongs to, so that setting it needs no memory. A Wheel holds
// the armed timers of one loop in 6 levels of 64 slots. A tick is one millisecond. A deadline is an absolute count of
// ticks, on whatever clock the owner passes to NewWheel and Advance; the wheel never reads a clock itself.
//
// Cost: Set and Cancel touch one or two lists and one bitmap word. Advance visits only occupied slots, so that a jump of
// days costs no more than the timers that it passes. A timer moves down at most 5 times before it fires.
//
// Ownership: a Wheel and its timers belong to one goroutine. A Timer must stay where it is in memory while it is armed,
// and must not be copied then.
//
// It does not: sleep, wake anybody up, keep an order between timers of the same tick, or know durations.
package timers
