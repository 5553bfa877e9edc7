// Package websocket speaks WebSocket (RFC 6455) with clients, on the loops of an engine and without a goroutine for each
// connection. Messages may be compressed (permessage-deflate, RFC 7692).
//
// # Nouns
//
// An [Endpoint] has the limits that its connections share. [Endpoint.Accept] answers the opening handshake of an exchange and makes a
// [Conn] of its connection. What happens on it is told to a [Handler]: Open, Message, Close. [Server] is an Endpoint as a
// backend, for a program that serves nothing else on a listener or a route.
//
// # Ownership
//
// A Conn belongs to the loop of its connection, and so do the calls of its Handler. Other goroutines reach it by Loop().Post.
// The bytes that Message gets are a view, valid until it returns.
//
// # What the package does itself
//
// It unmasks and joins frames, checks the UTF-8 of texts while they arrive, answers pings and close frames, sends pings to a silent
// peer, and ends a connection whose peer breaks the protocol, sends a message that is too large, takes too little of what is
// sent to it, or does not answer.
//
// A message that is in one frame, and has arrived as a whole, is not copied. An idle connection has no buffer. With the
// default options, compression needs no memory between messages.
//
// # What it does not do
//
// It is no client. It does not compare the Origin field with anything: a server that trusts cookies has to do that before Accept, since
// browsers let every page open a WebSocket to every server. The payload of a frame may be spread over any number of fragments.
package websocket
