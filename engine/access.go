package engine

import (
	"net/netip"
	"time"
)

// Access is what there is to log about one exchange on a connection. Its slices are views, valid until AccessLog returns;
// they hold bytes of the peer as they were sent, cut at the bounds that are given here.
type Access struct {
	Loop int            // on which it happened; calls with the same one never overlap
	Peer netip.AddrPort // not valid on a Unix socket
	Time time.Time      // when the request's head was complete

	// Of the request. All empty if it had no head that could be parsed.
	Method    []byte // up to 32 bytes
	Target    []byte // up to 2 KiB
	Minor     int    // HTTP/1.Minor
	Referer   []byte // up to 1 KiB
	UserAgent []byte // up to 512 bytes

	// ID names the request: an X-Request-Id of the peer if that was 8 to 64 letters, digits, dots, dashes and
	// underscores, else one of the engine's own. Backends can have it in their logs too (httpparse.Head.ID).
	ID []byte

	Status   int   // of the final response; 0: not a byte of it was sent
	Bytes    int64 // of the response's body, as framed, that the socket has taken
	Complete bool  // the response was sent to its end

	// Queue is how long the exchange has waited for somebody to serve it, Service how long that one had it; -1: not
	// known. Total is from Time until the last byte was given to the socket, or the connection broke.
	Queue, Service, Total time.Duration
}

// Bounds of what is kept of a request for the log.
const (
	accessMethodMax  = 32
	accessTargetMax  = 2 << 10
	accessRefererMax = 1 << 10
	accessAgentMax   = 512

	requestIDMin = 8
	requestIDMax = 64

	// accessesKept are the records that a loop keeps for further exchanges.
	accessesKept = 256
)

// access is the record of an exchange in progress. It belongs to the loop; those that are over are used again.
type access struct {
	at             time.Time
	b              []byte // method, target, referer, user agent, id, one after the other
	ends           [accessParts]uint16
	minor          int
	queue, service time.Duration
	response       responseScan
}

// The parts of access.b.
const (
	partMethod = iota
	partTarget
	partReferer
	partAgent
	partID
	accessParts
)

func (a *access) part(i int) []byte {
	begin := uint16(0)
	if i > 0 {
		begin = a.ends[i-1]
	}
	return a.b[begin:a.ends[i]]
}

// set appends part i; the parts come in their order.
func (a *access) set(i int, p []byte, limit int) {
	a.b = append(a.b, p[:min(len(p), limit)]...)
	a.ends[i] = uint16(len(a.b))
}

// newAccess takes a record for an exchange that begins.
func (l *loop) newAccess() *access {
	n := len(l.accesses)
	if n == 0 {
		l.accesses = append(l.accesses, new(access))
		n = 1
	}
	a := l.accesses[n-1]
	l.accesses = l.accesses[:n-1]
	*a = access{at: time.Now(), b: a.b[:0], queue: -1, service: -1}
	return a
}

// releaseAccess keeps a record for later.
func (l *loop) releaseAccess(a *access) {
	if len(l.accesses) < accessesKept {
		l.accesses = append(l.accesses, a)
	}
}

// logAccess hands the record of the exchange to whoever logs. It is called once the exchange is over, in whatever way.
func (c *conn) logAccess(complete bool) {
	a, l := c.access, c.l
	c.access = nil
	bytes := a.response.body
	if !complete {
		bytes = max(0, bytes-int64(c.out.Len()))
	}
	l.logged = Access{
		Loop: l.Index(), Peer: c.peer, Time: a.at,
		Method: a.part(partMethod), Target: a.part(partTarget), Minor: a.minor,
		Referer: a.part(partReferer), UserAgent: a.part(partAgent), ID: a.part(partID),
		Status: a.response.final(), Bytes: bytes, Complete: complete,
		Queue: a.queue, Service: a.service, Total: time.Since(a.at),
	}
	l.e.accessLog(&l.logged)
	l.releaseAccess(a)
}

// logTurnedAway logs a connection that was answered, with what is in errorPage, before it could say anything.
func (l *loop) logTurnedAway(peer netip.AddrPort) {
	if l.e.accessLog == nil {
		return
	}
	var r responseScan
	r.write(l.errorPage)
	l.logged = Access{Loop: l.Index(), Peer: peer, Time: time.Now(), Status: r.final(), Bytes: r.body, Complete: true, Queue: -1, Service: -1}
	l.e.accessLog(&l.logged)
}
