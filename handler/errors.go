package handler

import (
	"errors"

	"moonbridge/handler/backend"
)

// Errors of Response that indicate a mistake in the handler. The call that returned the error had no effect.
var (
	// ErrHeadSent: it is too late to change the status or the fields, since the head has been sent.
	ErrHeadSent = errors.New("response head already sent")
	// ErrEnded: the exchange is over for the handler, since Serve has returned.
	ErrEnded = errors.New("exchange already ended")
	// ErrStatus: the number is not a valid status for this method.
	ErrStatus = errors.New("invalid status code")
	// ErrFieldReserved: only the server may send this field, because it affects framing.
	ErrFieldReserved = errors.New("field is reserved for the server")
	// ErrFieldsTooLarge: the field lines of the response would exceed 256 KiB.
	ErrFieldsTooLarge = errors.New("response fields too large")
	// ErrBodyBegun: a file can be the body only if nothing of a body was written before.
	ErrBodyBegun = errors.New("response body already begun")
	// ErrNotRegular: only regular files can be sent.
	ErrNotRegular = errors.New("not a regular file")
	// ErrBodiless: a response with this status has no body (RFC 9110 §6.4.1).
	ErrBodiless = errors.New("status allows no response body")
	// ErrLength: the body would exceed the Content-Length that was set.
	ErrLength = errors.New("response body longer than its Content-Length")
	// ErrResponseTooLarge: a response on the loop would exceed Config.ResponseMax. The exchange is answered with 500.
	ErrResponseTooLarge = errors.New("response too large for the loop")
)

// Errors of reading and writing with an external cause.
var (
	// ErrGone: the connection has ended.
	ErrGone = errors.New("connection gone")
	// ErrBodyTooLarge: the request body exceeds a limit.
	ErrBodyTooLarge = backend.ErrBodyTooLarge
)
