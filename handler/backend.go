package handler

import (
	"net/netip"
	"time"

	"moonbridge/httpparse"
)

// Backend runs exchanges for the engine: a pool of worker processes, or Go code in this process.
// It lives on every loop of the engine with a part of its own, so that an exchange never leaves its loop.
type Backend interface {
	// Attach creates the part of the backend that belongs to loop l. It is called once for each loop, on that loop,
	// before the first exchange.
	Attach(l Loop) (LoopBackend, error)
}

// LoopBackend is the part of a Backend on one loop. Only the loop's goroutine calls it.
type LoopBackend interface {
	// Start takes an exchange. head and body are views that are only valid during the call; body is what of the
	// request body is there already, more says that further bytes will be put into the window of the returned Running.
	// x hears of the exchange until Done or Failed was called on it, which never happens before Start has returned.
	//
	// Start refuses with an error of this package: ErrQueueFull, ErrNoWorker (nobody there to serve and nobody about
	// to come), ErrStopped.
	Start(x Exchange, head *httpparse.Head, listener int, body []byte, more bool) (Running, error)
}

// SocketBackend is implemented by a LoopBackend that takes whole connections, of which the engine has read nothing.
type SocketBackend interface {
	// StartSocket takes the connection with the non-blocking socket fd, which it owns from then on, unless it returns an
	// error: those of Start.
	StartSocket(fd int, listener int, local, remote netip.AddrPort) error
}

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

// Loop is what a backend may ask of the loop that it is attached to. Only Post may be called from elsewhere.
type Loop interface {
	// Index counts loops from 0; Count is how many there are.
	Index() int
	Count() int
	// Post has fn called on the loop.
	Post(fn func())
	// Now is the time of this turn in nanoseconds on a monotonic clock; Clock reads that clock anew.
	Now() int64
	Clock() int64
	// After calls fn once, after d, on the loop.
	After(d time.Duration, fn func()) Timer
	// Watch calls ready on each edge of fd's readability. The loop does not own fd.
	Watch(fd int, ready func()) error
	Unwatch(fd int) error
	// OnTurn has t called around each turn of the loop, until OffTurn.
	OnTurn(t Turn)
	OffTurn(t Turn)
}

// Timer is what Loop.After returns.
type Timer interface {
	// Stop keeps the timer from firing; false: it has fired or was stopped already.
	Stop() bool
}

// Turn is called around each turn (one batch of events) of a loop.
type Turn interface {
	// BeginTurn comes before the first event of a turn.
	BeginTurn()
	// EndTurn comes when the events of the turn are handled. again asks for another turn without blocking in between.
	EndTurn() (again bool)
}
