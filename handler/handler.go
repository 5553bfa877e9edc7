package handler

import (
	"log/slog"
	"net/netip"
	"time"
)

// Handler answers requests in Go. OnLoop and Blocking make a Backend from it.
//
// Serve may use w and r, and all slices that r returns, until it returns.
//
// The default status of a response is 200. A panic is logged with its stack; the peer gets a 500, or the connection is
// reset if part of the response was passed on. A panic with http.ErrAbortHandler resets the connection, without a log
// line.
type Handler interface {
	Serve(w *Response, r *Request)
}

// mustServe panics if h cannot be called: here the traceback shows who has made the mistake.
func mustServe(call string, h Handler) {
	if f, ok := h.(Func); h == nil || ok && f == nil {
		panic("handler: " + call + ": the handler is nil")
	}
}

// Func is a function that serves as a Handler.
type Func func(w *Response, r *Request)

// Serve calls f.
func (f Func) Serve(w *Response, r *Request) { f(w, r) }

// Config holds the limits of a Backend for Go handlers. In each field 0 means the default. The functions OnLoop and
// Blocking use the zero Config.
type Config struct {
	// BodyMax is the largest request body on the loop in bytes. The default is 64 KiB; a negative value allows no body.
	// A larger body is answered with 413. The whole body is in memory when the handler runs.
	BodyMax int
	// ResponseMax is the largest response body on the loop in bytes. The default is 1 MiB; a negative value allows no
	// body. Writes beyond it fail with ErrResponseTooLarge, and the exchange is answered with 500.
	ResponseMax int

	// LaterMax is how long an exchange on the loop may wait for its response after Request.Later. The default is 60 s; a negative
	// value means no limit. Then it is answered with 504.
	LaterMax time.Duration

	// QueueMax is how many exchanges may wait for a goroutine. The default is 1024; a negative value allows none.
	// Further exchanges are refused with backend.ErrQueueFull and answered with 503.
	QueueMax int
	// QueueTimeout is how long an exchange may wait. The default is 10 s; a negative value means no limit. An exchange
	// that waits longer is answered with 503 and a Retry-After field.
	QueueTimeout time.Duration
	// GoneAfter is how long an exchange must have waited until it leaves the queue because its peer has sent its FIN. The
	// default is 100 ms; a negative value means never. Its connection is closed, without an answer.
	GoneAfter time.Duration
	// Apart has a goroutine of its own call each blocking handler from the start. Otherwise the goroutine of the loop calls those whose
	// requests have arrived in full, as long as they are short on average, and another one takes its place if one is not: that saves
	// a third of the processor time of a short request. A handler that waits may hold up other requests of its loop for up to two
	// milliseconds, or for ten if it computes.
	Apart bool
	// Window is how many bytes of a request body are read ahead of a blocking handler. The default is 64 KiB. The peer
	// has to wait when the window is full.
	Window int
	// PartMax is how many bytes of a response body a blocking handler may write before they are passed on. The default
	// is 32 KiB. A body that is not larger gets a Content-Length. If the peer is slow, up to twice as much is held for
	// the exchange before the handler has to wait.
	PartMax int

	// Logger gets a line for each handler that panics, or whose response body is shorter than its Content-Length or
	// larger than ResponseMax. The default is slog.Default().
	Logger *slog.Logger
}

func (c Config) bodyMax() int         { return intOr(c.BodyMax, 64<<10) }
func (c Config) responseMax() int     { return intOr(c.ResponseMax, 1<<20) }
func (c Config) queueMax() int        { return intOr(c.QueueMax, 1024) }
func (c Config) window() int          { return max(intOr(c.Window, 64<<10), 1) }
func (c Config) partMax() int         { return max(intOr(c.PartMax, 32<<10), 1) }
func (c Config) logger() *slog.Logger { return loggerOr(c.Logger) }

func (c Config) queueTimeout() time.Duration { return durationOr(c.QueueTimeout, 10*time.Second) }
func (c Config) goneAfter() time.Duration    { return durationOr(c.GoneAfter, goneAfterDefault) }

// goneAfterDefault: a peer that has closed its sending side only finds a free goroutine, or waits for longer than most.
const goneAfterDefault = 100 * time.Millisecond

func durationOr(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

func intOr(n, def int) int {
	if n == 0 {
		return def
	}
	return max(n, 0)
}

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// addrText returns the text for http.Request.RemoteAddr: "address:port", or "" on a Unix socket.
func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
