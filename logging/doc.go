// Package logging keeps a log from holding up the program that writes it, and what happens often from filling it.
//
// # Nouns
//
// A Queue stands before a target that may block or fail: a terminal, a pipe, a disk, the system log. It takes records, which
// are lines that end with a line break. One goroutine writes them. A record that finds no room is lost, and so are records
// that the target refuses; they are counted, and the count is told. A lane is one of the buffers of a queue. Callers that
// must not wait for each other use separate lanes.
//
// A Tally counts events by their cause. It logs the first of a cause at once, and later ones at most once a second,
// together. A Quota bounds records that are all to be logged, as long as there are not too many of them.
//
// # Ownership
//
// All methods may be called from any goroutine, including event loops: none of them waits for a target, except Queue.Close,
// which is given a time. What a Queue is given is copied.
//
// The package does not open files, format records, or decide what is worth logging.
package logging
