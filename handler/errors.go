package handler

import (
	"errors"

	"moonbridge/handler/backend"
)

// Errors of Response that show a mistake of the handler. The call that returned one of them had no effect.
var (
	// ErrHeadSent says that it is too late to change status or fields: the head is on its way.
	ErrHeadSent = errors.New("response head already sent")
	// ErrEnded says that the exchange is over, as far as the handler goes: Serve has returned.
	ErrEnded = errors.New("exchange already ended")
	// ErrStatus says that a number cannot be sent as a status in this place.
	ErrStatus = errors.New("invalid status code")
	// ErrFieldReserved says that a field is for the server to send, because it is about framing.
	ErrFieldReserved = errors.New("field is reserved to the server")
	// ErrFieldsTooLarge says that the field lines of a response have grown beyond 256 KiB.
	ErrFieldsTooLarge = errors.New("response fields too large")
	// ErrBodiless says that a response of this status has no body (RFC 9110 §6.4.1).
	ErrBodiless = errors.New("status allows no response body")
	// ErrLength says that the body would become longer than the Content-Length that was set.
	ErrLength = errors.New("response body longer than its Content-Length")
	// ErrResponseTooLarge says that a response that is served on the loop has grown beyond Config.ResponseMax. The exchange
	// is answered with 500.
	ErrResponseTooLarge = errors.New("response too large for the loop")
)

// Errors of reading and writing that come from outside.
var (
	// ErrGone says that the peer's connection has ended.
	ErrGone = errors.New("connection gone")
	// ErrBodyTooLarge says that a request body is above a limit.
	ErrBodyTooLarge = backend.ErrBodyTooLarge
)
