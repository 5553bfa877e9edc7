// Package logging keeps a log from holding up the program that writes it, and frequent events from filling it.
//
// # Nouns
//
// A Queue stands in front of a target that may block or fail: a terminal, a pipe, a disk, the system log. It takes records,
// which are lines that end with a line break. One goroutine writes them. A record that does not fit is lost, and so are
// records that the target refuses; they are counted, and the count is reported. A lane is one of the buffers of a queue.
// Callers that must not wait for each other use separate lanes.
//
// A Tally counts events by cause. It logs the first event with a cause at once, and later ones together, at most once a
// second. A Quota bounds records that should all be logged unless there are too many of them.
//
// # Ownership
//
// All methods may be called from any goroutine, including event loops: none of them waits for a target, except Queue.Close,
// which is given a time. A Queue copies the bytes that it is given.
//
// The package does not open files, format records, or decide what is worth logging.
package logging
