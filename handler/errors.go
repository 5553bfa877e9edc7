package handler

import "errors"

// Errors with which LoopBackend.Start refuses an exchange. The engine answers each of them with 503, but the last with 431.
var (
	// ErrQueueFull says that as many exchanges wait as may.
	ErrQueueFull = errors.New("queue full")
	// ErrNoWorker says that nobody is there to serve, and nobody about to come.
	ErrNoWorker = errors.New("no worker")
	// ErrStopped says that the backend takes no further exchange.
	ErrStopped = errors.New("backend stopped")
	// ErrHeadTooLarge says that the request head is larger than the backend can take, whatever the engine's limit is.
	ErrHeadTooLarge = errors.New("request head too large")
)

// Errors of Response that show a mistake of the handler. The call that returned one of them had no effect.
var (
	// ErrHeadSent says that it is too late to change status or fields: the head is on its way.
	ErrHeadSent = errors.New("response head already sent")
	// ErrEnded says that the exchange is over, as far as the handler goes: Serve has returned.
	ErrEnded = errors.New("exchange already ended")
	// ErrStatus says that a number cannot be sent as a status in this place.
	ErrStatus = errors.New("invalid status code")
	// ErrFieldName says that a field name is no token (RFC 9110 §5.1).
	ErrFieldName = errors.New("invalid field name")
	// ErrFieldValue says that a field value has a control character such as CR, LF or NUL in it (RFC 9110 §5.5), or is not
	// what this field may be.
	ErrFieldValue = errors.New("invalid field value")
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
	ErrBodyTooLarge = errors.New("request body too large")
)
