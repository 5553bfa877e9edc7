package handler

import (
	"log/slog"
	"net/netip"
	"time"
)

// Handler answers requests in Go. OnLoop and Blocking make a Backend of it.
//
// Serve may use w and r until it returns. All slices that it gets from r are views that end with it as well.
//
// A response without a status is a 200. A panic is logged with its stack; the peer gets a 500, or a reset connection if
// part of the response was sent. A panic with http.ErrAbortHandler does the same without a log line.
type Handler interface {
	Serve(w *Response, r *Request)
}

// Func is a function as a Handler.
type Func func(w *Response, r *Request)

// Serve calls f.
func (f Func) Serve(w *Response, r *Request) { f(w, r) }

// Config holds the limits of a Backend for Go code. In each of them 0 means the default; a Config without anything set is
// what the functions OnLoop and Blocking use.
type Config struct {
	// BodyMax is the largest request body on the loop, in bytes, default 64 KiB, negative for none at all. A larger one is
	// answered with 413. The whole body is in memory when the handler runs.
	BodyMax int
	// ResponseMax is the largest response body on the loop, in bytes, default 1 MiB. What is written beyond is refused,
	// and the exchange is answered with 500.
	ResponseMax int

	// QueueMax is how many exchanges may wait for a goroutine, default 1024, negative for none. A further one is refused
	// with ErrQueueFull: 503.
	QueueMax int
	// QueueTimeout is how long an exchange may wait, default 10 s, negative for as long as it takes. Then it is answered
	// with 503 and a Retry-After.
	QueueTimeout time.Duration
	// Window is how many bytes of a request body are read ahead of a blocking handler, default 64 KiB. Beyond that the peer
	// is made to wait.
	Window int
	// PartMax is how many bytes of a response body a blocking handler may write before they are passed on, default
	// 32 KiB. A body that is not larger gets a Content-Length. Twice as much may be held for an exchange whose
	// peer is slow; then the handler is made to wait.
	PartMax int

	// Logger gets a line for each handler that panicked or broke its own Content-Length; default slog.Default().
	Logger *slog.Logger
}

func (c Config) bodyMax() int         { return intOr(c.BodyMax, 64<<10) }
func (c Config) responseMax() int     { return intOr(c.ResponseMax, 1<<20) }
func (c Config) queueMax() int        { return intOr(c.QueueMax, 1024) }
func (c Config) window() int          { return max(intOr(c.Window, 64<<10), 1) }
func (c Config) partMax() int         { return max(intOr(c.PartMax, 32<<10), 1) }
func (c Config) logger() *slog.Logger { return loggerOr(c.Logger) }

func (c Config) queueTimeout() time.Duration {
	if c.QueueTimeout == 0 {
		return 10 * time.Second
	}
	return max(c.QueueTimeout, 0)
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

// addrText is the text for http.Request.RemoteAddr: "address:port", or "" on a Unix socket.
func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}
