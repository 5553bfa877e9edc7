// Package engine is the server that can be embedded: listeners, connections, limits, shutdown.
//
// Its nouns: an Engine owns loops (package reactor); a Listener is an open listening address; a Service says what a
// listener's connections are served by (a backend.Backend) and within which limits. A conn is a peer's connection: it
// belongs to one loop from accept to close, and only that loop touches it. An exchange is one request and its response:
// conn implements backend.Exchange, and holds the backend.Running that the backend gave it.
//
// A request goes through the conn_*.go files in this order: conn_read.go (bytes arrive, the head is parsed),
// conn_dispatch.go (framing, limits, hand-over to the backend), conn_body.go (bytes of the body to the backend),
// conn_write.go (bytes of the response to the peer), and conn_close.go. conn_state.go names the states,
// conn_timeout.go their deadlines.
//
// Lifetimes: bytes that a conn hands to the backend are views of the loop's read buffer, valid during the call only.
// An idle conn holds no buffer at all.
//
// The engine knows no process and no Lua; it does not open files, look up names or block, except in Open.
package engine
