package engine

import (
	"errors"
	"log/slog"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/httpparse"
)

// Everything that the engine refuses is counted by its cause, and logged at a bounded rate with what is known about one case.
// Exchanges that a backend fails (Exchange.Failed) are logged by the backend.

// Messages of the log.
const (
	requestsRefused      = "requests refused"
	requestBodiesRefused = "request bodies refused"
	connectionsRefused   = "connections refused"
	floodsPunished       = "addresses punished for floods"
	aboveLimit           = "connections turned away: limit reached"
	outOfFiles           = "connections turned away: no descriptor left"
	responsesWait        = "responses wait in their handlers"
	filesLost            = "responses broken off: file not readable to its end"
)

// Causes that no other package has a text for.
const (
	causeHeadTimeout = "request head not received in time"
	causeBodyTimeout = "request body not received in time"
	causeHeadCut     = "end of input in a request head"
	causeBodyCut     = "end of input in a request body"
	causeQueueLimit  = "queue_limit"
	causeNoWorker    = "no_worker"
	causeServerStops = "stopped"
	causeConnLimit   = "connection_limit"
	causeOpenLimit   = "connection_limit: open"
	causePenalty     = "flood_penalty"
	causeFileShort   = "file is shorter than it was"
)

const (
	shownOfRequest   = 128 // bytes of a method or a path in the log
	shownOfNoRequest = 24  // bytes in the log of what does not look like a request
)

// startRefusal is the answer to a request that a backend's Start refuses, and the cause for the log.
func startRefusal(err error) (status int, cause string) {
	status, _ = backend.RefusalOf(err)
	switch {
	case errors.Is(err, backend.ErrQueueFull):
		return status, causeQueueLimit
	case errors.Is(err, backend.ErrNoWorker):
		return status, causeNoWorker
	case errors.Is(err, backend.ErrStopped):
		return status, causeServerStops
	}
	return status, err.Error()
}

// requestStart is the request that is being received, as far as it is known.
func (c *conn) requestStart() []byte {
	if c.state == stateSpooling {
		return c.spool.head
	}
	return c.input.Unread()
}

// countRefused counts the request that is being received, which is answered with a status.
func (c *conn) countRefused(status int, cause string) {
	c.l.e.tally.Add(refusedRequest(status, cause), func() []slog.Attr {
		return append(clientAttr(c.socket.peer), requestAttrs(c.requestStart())...)
	})
}

// CountRefused implements backend.RefusalCounter.
func (b backendLoop) CountRefused(x backend.Exchange, h *httpparse.Head, err error) {
	b.l.e.tally.Add(refusedRequest(startRefusal(err)), func() []slog.Attr {
		_, peer := x.Addrs()
		return append(clientAttr(peer), requestAttrs(h.Raw)...)
	})
}

func refusedRequest(status int, cause string) logging.Event {
	level := slog.LevelInfo // the peer's fault
	if status == statusInternal || status == statusUnavailable || status == statusInsufficientStorage {
		level = slog.LevelWarn
	}
	return logging.Event{Level: level, Message: requestsRefused, Status: status, Cause: cause}
}

// countBody counts a body whose rest is malformed or too large. The handler decides on the response.
func (c *conn) countBody(cause string) {
	c.l.e.tally.Add(logging.Event{Level: slog.LevelInfo, Message: requestBodiesRefused, Cause: cause}, func() []slog.Attr {
		return clientAttr(c.socket.peer)
	})
}

// countConnection counts a connection that is not served.
func (l *loop) countConnection(message, cause string, peer netip.AddrPort) {
	l.e.tally.Add(logging.Event{Level: slog.LevelWarn, Message: message, Cause: cause}, func() []slog.Attr {
		return append(clientAttr(peer), slog.Int64("conns", l.e.conns.Load()))
	})
}

// clientAttr is the peer's address, unless it has none.
func clientAttr(peer netip.AddrPort) []slog.Attr {
	if !peer.IsValid() {
		return nil
	}
	return []slog.Attr{slog.String("client", peer.String())}
}

// requestAttrs says what a request is about that may be malformed or incomplete. The query may be secret.
func requestAttrs(b []byte) []slog.Attr {
	method, path, isRequest := httpparse.RequestStart(b)
	switch {
	case isRequest:
		return []slog.Attr{
			slog.String("method", logging.Quoted(method, shownOfRequest)), slog.String("path", logging.Quoted(path, shownOfRequest)),
		}
	case len(path) > 0:
		return []slog.Attr{slog.String("start", logging.Quoted(path, shownOfNoRequest))}
	}
	return nil
}
