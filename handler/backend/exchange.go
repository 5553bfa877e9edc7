package backend

import (
	"net/netip"
	"time"
)

// Running is an exchange in progress, seen from the connection. Only the loop's goroutine calls it, and only until
// Done, Failed or Cancel.
type Running interface {
	// BodyRoom is the free room for body bytes: two slices because it is a ring, both empty if it is full. When it was
	// found full, Exchange.BodyRoom is called once there is room again.
	BodyRoom() (a, b []byte)
	// BodyCommit says that n bytes were put into the room, filling a first.
	BodyCommit(n int)
	// BodyEnd says that the body is complete.
	BodyEnd()
	// BodyAbort says that the rest of the body will never come; tooLarge: because it passed the size limit.
	BodyAbort(tooLarge bool)
	// OutputRoom says that the connection can take output again after Exchange.Output took less than offered.
	OutputRoom()
	// Cancel says that the connection is gone. No further call is made on the Exchange.
	Cancel()
}

// Timed is what a Running may implement besides, for logs.
type Timed interface {
	// Times are how long the exchange has waited until somebody took it up, and how long that one had it. It is called
	// on the loop, once, right when Done, Failed or Cancel is due, and only if httpparse.Head.ID was given to Start.
	Times() (queue, service time.Duration)
}

// Exchange is one request and its response, seen from the handler: the engine's connection. It is called on the loop.
type Exchange interface {
	// Output offers response bytes (a, then b) that are ready for the wire, head included. The connection takes n of
	// them, by sending or by copying; if n is less than offered it calls Running.OutputRoom when it can take more.
	// last says that Done follows at once if everything is taken.
	Output(a, b []byte, last bool) (n int)
	// Done ends an exchange whose output was taken in full; with EndReset it may come at any time.
	Done(end End)
	// Failed ends an exchange that has no (more) response: the engine answers with the status if no byte of a final
	// response was sent, else it resets the connection. retryAfter > 0 becomes a Retry-After field, in whole seconds.
	Failed(status int, retryAfter time.Duration)
	// BodyRoom says that Running.BodyRoom, found full before, has room again.
	BodyRoom()
	// BodyWanted says that the handler reads the body: an open Expect: 100-continue is to be answered now.
	BodyWanted()
	// Addrs are the two ends of a TCP connection; not valid for a Unix socket. On a dual-stack socket IPv4 addresses are in
	// their IPv6 form: the family is that of the socket.
	Addrs() (local, remote netip.AddrPort)
}

// End says what becomes of the connection after an exchange.
type End uint8

const (
	// EndKeep keeps the connection for the next request.
	EndKeep End = iota
	// EndClose closes the connection when everything is sent.
	EndClose
	// EndReset resets the connection: the response broke off.
	EndReset
)
