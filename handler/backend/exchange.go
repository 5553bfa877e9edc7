package backend

import (
	"net/netip"
	"time"
)

// Running is an exchange in progress, as seen by the connection. Its methods are called on the loop, and only until
// Done, Failed or Cancel. After Complete only Cancel is called.
type Running interface {
	// BodyRoom returns the free room for body bytes: two slices, because it is a ring buffer. Both are empty if it is
	// full; the backend then calls Exchange.BodyRoom when there is room again.
	BodyRoom() (a, b []byte)
	// BodyCommit says that n bytes were written to the room, to a first and then to b.
	BodyCommit(n int)
	// BodyEnd says that the body is complete.
	BodyEnd()
	// BodyAbort says that the rest of the body will never arrive. tooLarge means that the body exceeded the size limit.
	BodyAbort(tooLarge bool)
	// OutputRoom says that the connection can take output again, after Exchange.Output took less than was offered.
	OutputRoom()
	// PeerEnd says that the peer has sent its FIN. It has closed the connection, or its sending side only: then it still
	// waits for the response. PeerEnd is called at most once for an exchange, soon after Start if it was known by then. The
	// backend may end the exchange within the call.
	PeerEnd()
	// Cancel says that the connection is gone, or, after Complete, that the response timeout of the exchange has ended too.
	// Whatever the handler still writes is to fail. The backend must make no further call on the Exchange.
	Cancel()
}

// Timed is an optional interface of a Running, for logs.
type Timed interface {
	// Times returns how long the exchange waited for a handler, and how long the handler had it. It is called on the
	// loop, once, within the call of Done, Complete, Failed or Cancel, and only if the head that Start got was Timed. If it was
	// Counted, service may be negative: not known.
	Times() (queue, service time.Duration)
}

// Forwarded is an optional interface of a Running that passes its request on to another server, for traces.
type Forwarded interface {
	// Upstream returns the address of the server that has got the request, or was tried last, and how often the request was sent, to
	// any server. address is empty if no server was tried. It is called when Times is.
	Upstream() (address string, sent int)
}

// CacheTimed is what a Running of a cache implements in place of Timed.
type CacheTimed interface {
	// CacheTimes is Times, and says what the cache has done. Unknown times are negative.
	CacheTimes() (queue, service time.Duration, result CacheResult)
}

// CacheResult is what a cache has done for an exchange.
type CacheResult uint8

const (
	// CacheNone: nothing.
	CacheNone CacheResult = iota
	// CacheMiss: the backend that it wraps has answered.
	CacheMiss
	// CacheHit: it has answered with a fresh response.
	CacheHit
	// CacheStale: it has answered with a stale response.
	CacheStale
	// CacheRefresh: it has answered with a stale response, and has asked the backend for a new one meanwhile.
	CacheRefresh
)

// String is the result as logs have it: MISS, HIT or STALE, or nothing.
func (r CacheResult) String() string { return [...]string{"", "MISS", "HIT", "STALE", "STALE"}[r] }

// Trailered is an optional interface of a Running, for the trailer section of a chunked request body (RFC 9110 §6.5). Without
// it the section is checked and dropped.
type Trailered interface {
	// BodyTrailer gets the trailer section, at most 8 KiB, before BodyEnd. It is called only if there are trailer fields.
	// section is a view that is valid during the call only. httpparse.TrailerFields returns its fields.
	BodyTrailer(section []byte)
}

// Exchange is one request and its response, as seen by the backend: the engine's connection. Its methods must be called
// on the loop.
type Exchange interface {
	// Output offers response bytes that are ready for the wire, including the head: a, then b. The connection takes n
	// of them, by sending or by copying. If n is less than offered, it calls Running.OutputRoom when it can take more.
	// last means that Done or Complete follows at once if everything is taken.
	//
	// Interim responses (1xx, RFC 9110 §15.2) are output before the final one. The connection tells them apart by their
	// status lines. They do not begin the response: BodyWanted and Failed still work after them.
	Output(a, b []byte, last bool) (n int)
	// Done ends an exchange whose output was taken in full. With EndReset it may be called at any time.
	Done(end End)
	// Complete is Done for an exchange whose handler still runs: the client has its whole response, and the connection goes
	// on without waiting for the handler. r is what Start has returned. One call may follow on this Exchange for r, Left.
	// Until then the connection calls r.Cancel when it is gone. A body that has not arrived in full is not passed on any
	// more.
	Complete(r Running, end End)
	// Left says that the handler of an exchange has ended that was complete before.
	Left(r Running)
	// Failed ends an exchange whose response cannot be completed. If no byte of the final response was taken, and no
	// interim response in part, the engine answers with the status; otherwise it resets the connection. retryAfter > 0
	// becomes a Retry-After field, in whole seconds. With StatusClientGone the engine answers nothing, closes the
	// connection, and writes the status to the access log.
	Failed(status int, retryAfter time.Duration)
	// BodyRoom says that there is room again after Running.BodyRoom returned none.
	BodyRoom()
	// BodyWanted says that the handler reads the body: a pending Expect: 100-continue is to be answered now (RFC 9110
	// §10.1.1).
	BodyWanted()
	// Addrs returns the two ends of a TCP connection. They are not valid (IsValid is false) on a Unix socket. IPv4 addresses
	// are in IPv4 form, even on a dual-stack socket.
	Addrs() (local, remote netip.AddrPort)
}

// Refuser is implemented by every Exchange of an engine.
type Refuser interface {
	// Refused is Failed with what RefusalOf returns for err, and with what RefusalFields returns.
	Refused(err error)
}

// Refuse ends an exchange that another backend has refused with err after Start had taken it: with Refused of x, if it has that, and
// otherwise with Failed.
func Refuse(x Exchange, err error) {
	if r, ok := x.(Refuser); ok {
		r.Refused(err)
		return
	}
	x.Failed(RefusalOf(err))
}

// ConnKeeper is implemented by every Exchange of an engine, and by what backends put in place of an Exchange. It keeps one value for the connection, which all its exchanges share.
// Start may call its methods.
type ConnKeeper interface {
	// ConnValue returns the value, or nil.
	ConnValue() any
	// SetConnValue replaces the value.
	SetConnValue(v any)
}

// ConnValueOf is ConnValue of x, or nil. What backends put in place of an Exchange uses it.
func ConnValueOf(x Exchange) any {
	if k, ok := x.(ConnKeeper); ok {
		return k.ConnValue()
	}
	return nil
}

// SetConnValueOf calls SetConnValue of x, if it has it.
func SetConnValueOf(x Exchange, v any) {
	if k, ok := x.(ConnKeeper); ok {
		k.SetConnValue(v)
	}
}

// StatusClientGone is the status with which a backend gives up an exchange whose peer has ended the connection (see
// Running.PeerEnd). It is the number that other servers have in their access logs for that, and is never sent.
const StatusClientGone = 499

// BodyDiscardMax is how many bytes of a request body that has not arrived a connection reads and throws away after the response,
// to be kept for the next request. If more than that is missing, or the client waits for 100 (Continue), it is closed. How much is
// missing of a chunked body is not known: up to 16 MiB are thrown away before it is closed.
const BodyDiscardMax = 256 << 10

// End says what happens to the connection after an exchange.
type End uint8

const (
	// EndKeep keeps the connection for the next request, if no more than BodyDiscardMax bytes of the body are missing.
	EndKeep End = iota
	// EndClose closes the connection after everything is sent.
	EndClose
	// EndReset resets the connection: the response is incomplete.
	EndReset
)
