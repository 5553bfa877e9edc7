package handler

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// loggedMax is how many bytes of the method or path of a request go into a log line.
const loggedMax = 128

// logFailure logs why an exchange failed in the handler: the value of its panic, or a text. With stack set, it must be
// called while the stack is still that of the panic.
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

// isAbort reports whether a handler panicked in order to abort its response, which is not a mistake.
func isAbort(cause any) bool { return cause == http.ErrAbortHandler }

// Causes that are logged if a handler's response is invalid.
const (
	causeShort    = "response body shorter than its Content-Length"
	causeTooLarge = "response too large for the loop"
	causeSwitch   = "status 101 without Hijack, which is not supported"
)

// cause returns why finish returned false.
func (w *Response) cause() string {
	if w.fault == "" {
		return causeShort
	}
	return w.fault
}
