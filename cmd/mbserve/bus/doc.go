// Package bus connects the channels of several servers through Redis or NATS.
//
// What it needs of them is a log: a list of entries in one order, of which old ones go. Redis has streams, NATS has JetStream. All
// messages of a [Bus] are appended to the log, and all that a hub passes on comes from the log, its own messages too. So all hubs
// have the same messages in the same order, and an id, which is a place in the log, means the same everywhere.
//
// An entry is a batch: the messages that were published while the entry before was on its way. There is one at a time, so a batch whose
// end is not known when a connection breaks is simply appended again: those who read know its number, and pass over the second one. A
// process that takes over gets what waits in batches with numbers, for the same reason.
//
// [Bus] has what both have in common: the queue, connecting again, what is missing. A session is a connection to one of them.
package bus
