// Package channel passes messages on to many connections.
//
// A [Hub] has named channels. [Hub.Publish] may be called on any goroutine. It gives the message its place in the order of all
// messages of the hub, keeps it in the history of its channel, and queues it for every loop that has subscribers of the channel. It
// never waits. Each loop has a [Loop] of the hub, which passes the messages on to its subscribers in small portions, between other
// events.
//
// A [Member] is what a connection has of the hub: its place in the order, and its subscriptions. Its methods are called on its loop,
// and so are those of its [Subscriber]. A message is encoded once in each [Form], whatever the number of subscribers, and they all get
// the same bytes.
//
// # Order and resumption
//
// There is one order for all channels of a hub, so one id says which messages of all of them a client has: that of the last one
// it got. [Member.Subscribe] with this id continues after it, from the histories. What a history does not have any more is not passed
// over in silence: [Subscriber.Lost] says so.
//
// # Slow subscribers
//
// A Subscriber that does not take more holds nothing. When it has room again, [Member.Resume] continues from the history. If the
// history does not have the next message any more, or if the subscriber takes nothing for too long, [Subscriber.Slow] ends it.
package channel
