// Package stream answers HTTP requests with the messages of channels: with server-sent events, and with one answer for a client that
// polls.
//
// [Loop.Events] and [Loop.Poll] take over an exchange from the backend that has started it. From then on no handler is needed: the
// stream is on its loop, and costs a few hundred bytes. It ends when the client goes, when the hub drains, or when the client is too
// slow. What it sends is the same bytes for all subscribers.
//
// Of a stream of events, the peer sees comments while no messages are published, so that neither it nor a proxy takes the connection
// for dead.
package stream
