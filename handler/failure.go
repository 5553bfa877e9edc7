package handler

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// Bytes of a request that may come into a log line.
const loggedMax = 128

// logFailure writes why an exchange failed in the handler: what it panicked with, or a text. It is called where the
// stack is still that of the panic.
func logFailure(log *slog.Logger, loop int, r *Request, cause any, stack bool) {
	attrs := []any{
		"loop", loop,
		"method", fmt.Sprintf("%.*q", loggedMax, r.Method()),
		"path", fmt.Sprintf("%.*q", loggedMax, r.Path()),
		"err", fmt.Sprint(cause),
	}
	if stack {
		attrs = append(attrs, "stack", string(debug.Stack()))
	}
	log.Error("handler failed", attrs...)
}

// isAbort says that a handler panicked in order to break off its response, which is no mistake.
func isAbort(cause any) bool { return cause == http.ErrAbortHandler }

// What is logged when a handler's response does not add up.
const (
	causeShort    = "response body shorter than its Content-Length"
	causeTooLarge = "response too large for the loop"
)

// cause says why finish has returned false.
func (w *Response) cause() string {
	if w.short() {
		return causeShort
	}
	return causeTooLarge
}
