package accesslog

import (
	"net/netip"
	"time"
)

// Entry describes one exchange on a connection, for a log. Its slices are views, valid until the log returns. They hold bytes
// as the peer sent them, cut at the lengths given here: quote them.
type Entry struct {
	Loop int            // index of the loop; calls with the same one never overlap
	Peer netip.AddrPort // the client; not valid on a Unix socket. Without a port if trusted proxies have said who it is
	Time time.Time      // when the request's head was complete

	// Of the request. All are empty if its head could not be parsed.
	Method    []byte // up to 32 bytes
	Target    []byte // up to 2 KiB
	Minor     int    // HTTP/1.Minor, unless HTTP2
	HTTP2     bool   // it came with HTTP/2
	Referer   []byte // up to 1 KiB
	UserAgent []byte // up to 512 bytes

	// ID names the request: the peer's X-Request-Id if that is 8 to 64 letters, digits, dots, dashes and underscores,
	// otherwise one that the server has made. Backends can put it into their logs too (httpparse.Head.ID).
	ID []byte

	// Trace is nil if the exchange is not traced. State is the tracestate that it came with, and Host what the client has asked, up to
	// 255 bytes; Host is empty unless the trace is recorded and Tracing.Children is set.
	Trace       *Trace
	State, Host []byte

	// Upstream is the address of the server that the request was passed on to, or was to be, and Sent how often it was sent to such a
	// server. They are set only for recorded traces. "": it was not to be passed on.
	Upstream string
	Sent     int

	// Waited is how long the exchange was kept from the backend because its body was awaited. It is set only for recorded traces.
	Waited time.Duration

	Secure bool // the client has asked for https

	Status   int   // of the final response; 0: none of it was sent; 499: none, because the peer had gone before
	Bytes    int64 // of the response's body, with its framing, that the socket has taken
	Complete bool  // the whole response was sent

	Account any // Limits.Account of the listener, for those who count

	// Queue is how long the exchange waited for a worker or a handler, Service how long that took; -1: not known. Total is
	// from Time until the socket took the last byte, or until the connection broke.
	Queue, Service, Total time.Duration

	// Cache is what a cache in front of the handler has done: HIT, MISS or STALE, or nothing.
	Cache string
	// Refreshes: the response was stale, and the cache has asked the handler for a new one because of it.
	Refreshes bool
}

// Bounds of what is kept of a request.
const (
	MethodMax  = 32
	TargetMax  = 2 << 10
	RefererMax = 1 << 10
	AgentMax   = 512
	HostMax    = 255

	IDMin = 8
	IDMax = 64

	// PartsMax is the most that all of them can take together.
	PartsMax = MethodMax + TargetMax + RefererMax + AgentMax + IDMax
)
