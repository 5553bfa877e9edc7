package handler

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"runtime/debug"

	"moonbridge/handler/logging"
	"moonbridge/httpparse"
)

const (
	// loggedMax is how many bytes of the method or path of a request go into a log line.
	loggedMax = 128
	// failureTextMax is how many bytes of the value of a panic, and of its stack, go into a log line.
	failureTextMax = 32 << 10

	// A handler that fails on every request must not fill the log: a backend logs failuresPerSecond, and failuresBurst at
	// once. The rest is counted.
	failuresPerSecond = 50
	failuresBurst     = 500
)

// failures logs why a backend answers exchanges with an error.
type failures struct {
	log   *slog.Logger
	lines *log.Logger // of HTTPOptions; nil: panics go to log
	quota *logging.Quota
	tally *logging.Tally
}

func newFailures(log *slog.Logger, lines *log.Logger) *failures {
	return &failures{log: log, lines: lines, tally: logging.NewTally(log),
		quota: logging.NewQuota(failuresPerSecond, failuresBurst, func(count int) {
			log.Error("failures of handlers not logged: too many", "count", count)
		})}
}

// handler logs why an exchange failed in the handler: the value of its panic, or a text. With stack set, it must be called
// while the stack is still that of the panic.
func (f *failures) handler(loop int, r *Request, cause any, stack bool) {
	if !f.quota.Allow() {
		return
	}
	if f.lines != nil && stack {
		f.lines.Printf("http: panic serving %v: %v\n%s", r.RemoteAddr(), cutText(fmt.Sprint(cause)), cutText(string(debug.Stack())))
		return
	}
	attrs := append([]any{"loop", loop}, requestAttrs(r.head, r.RemoteAddr())...)
	attrs = append(attrs, "err", cutText(fmt.Sprint(cause)))
	if stack {
		attrs = append(attrs, "stack", cutText(string(debug.Stack())))
	}
	f.log.Error("handler failed", attrs...)
}

// refused counts a request that the backend answers without its handler, and logs it at a bounded rate.
func (f *failures) refused(status int, cause string, head *httpparse.Head, client string) {
	level := slog.LevelInfo // the client's fault
	if status >= 500 {
		level = slog.LevelWarn
	}
	f.tally.Add(logging.Event{Level: level, Message: "requests refused", Status: status, Cause: cause}, func() []slog.Attr {
		return argsToAttrs(requestAttrs(head, client))
	})
}

// requestAttrs says which request it is about, in arguments for a Logger.
func requestAttrs(h *httpparse.Head, client string) (args []any) {
	if client != "" {
		args = append(args, "client", client)
	}
	args = append(args, "method", logging.Quoted(h.Bytes(h.Method), loggedMax), "path", "/"+logging.Quoted(h.Bytes(h.Path), loggedMax))
	if len(h.ID) > 0 {
		args = append(args, "request_id", string(h.ID))
	}
	if id := h.Trace.TraceID(); id != nil {
		args = append(args, "trace_id", string(id))
	}
	return args
}

func argsToAttrs(args []any) []slog.Attr { return slog.Group("", args...).Value.Group() }

// cutText cuts a text at failureTextMax bytes.
func cutText(s string) string {
	if len(s) <= failureTextMax {
		return s
	}
	return fmt.Sprintf("%s… (%d more bytes)", s[:failureTextMax], len(s)-failureTextMax)
}

// isAbort reports whether a handler panicked in order to abort its response, which is not a mistake.
func isAbort(cause any) bool { return cause == http.ErrAbortHandler }

// Causes that are logged if a handler's response is invalid.
const (
	causeShort    = "response body shorter than its Content-Length"
	causeLater    = "answered later" // never logged
	causeLate     = "not answered in time"
	causeTooLarge = "response too large for the loop"
	causeSwitch   = "status 101 without Hijack"
)

// Causes that are logged if a request does not reach its handler, or cannot be read by it.
const (
	causeQueueTimeout = "queue_timeout"
	causeBodyLarge    = "request body too large"
	causeBodyBroken   = "request body incomplete"
)

// cause returns why finish returned false.
func (w *Response) cause() string {
	if w.fault == "" {
		return causeShort
	}
	return w.fault
}
