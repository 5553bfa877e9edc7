// Package proxy is a backend that passes requests on to other servers, and their responses back: a reverse proxy on the event loops.
//
// Its nouns: a target is a server that requests are sent to; package upstream chooses among them. A loop is the proxy on one event
// loop. An exchange is a request of a client with its response; it is the backend.Running. A link is a connection to a target; it is
// the backend.Stream. The links to a target that have no exchange are in a pool. A tunnel is what becomes of two connections after
// 101 (Switching Protocols).
//
// The way of a request: request_head.go makes its head, send.go chooses a target and a link, request_body.go sends the body,
// response.go and response_head.go pass the response on, fail.go decides what becomes of a request that was not answered. pool.go
// and sweep.go look after links without an exchange. tunnel.go, checks.go and forwarded.go are what their names say.
//
// # What is passed on
//
// Fields about the connection end here (RFC 9110 §7.6.1). The proxy makes the framing of each message itself, so that both sides understand the
// same. Responses are parsed strictly; one whose end could be understood in two ways becomes 502. A response that breaks off resets
// the client's connection: it never looks complete. Bodies are streamed in both directions, and a side that is slow slows the other
// one down: what is held is bounded by Config.Window.
//
// Nothing is sent twice that must not be. See Retrying.
//
// # Ownership
//
// Everything belongs to one loop, except for upstream.Set. Buffers of the loop are used within a call only. The bytes of a response
// stay in the input of their link until the client has taken them; only those that need another framing are copied. Most of a large
// response is never read: move.go leaves it to the system.
//
// # What it does not do
//
// It does not speak HTTP/2 to targets, and does not answer CONNECT. It does not cache: handler/cache does, in front of it.
package proxy
