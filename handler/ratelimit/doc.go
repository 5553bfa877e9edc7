// Package ratelimit refuses requests that come too often, on the loop, before a handler is called for them.
//
// A [Limiter] is a rate and what it has counted for each client, in a [Table] of fixed size. It is wrapped around a backend for
// each listener that the rate is for. A request within the rate goes on to that backend unchanged, and costs one look into the
// table: no allocation, no system call. Others are refused with a [backend.TooMany], which the engine answers with 429.
//
// [Connections] limits the new connections of clients in the same way. The engine asks it before a connection costs anything. [Open] limits how
// many connections a client has open, in an [OpenTable], which forgets nobody and is no larger than there are connections.
//
// The rate is that of the generic cell rate algorithm (ITU-T I.371): one request each 1/rate seconds, and up to burst of them at
// once. All that it has to know of a client is when the last of its requests will have been paid for.
//
// The table is bounded: where it is full, the client that has the least to pay is forgotten, and may send a few more. It is
// memory of this process: package worker has rate limits for handlers, in memory that processes share.
package ratelimit
