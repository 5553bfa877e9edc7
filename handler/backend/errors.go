package backend

import (
	"errors"
	"time"
)

// Errors with which LoopBackend.Start and SocketBackend.StartSocket refuse an exchange.
var (
	// ErrQueueFull: the queue of waiting exchanges is at its limit. 503.
	ErrQueueFull = errors.New("queue full")
	// ErrNoWorker: no worker is running and none is being started. 503.
	ErrNoWorker = errors.New("no worker")
	// ErrStopped: the backend takes no more exchanges. 503.
	ErrStopped = errors.New("backend stopped")
	// ErrHeadTooLarge: the request head is larger than the backend can take, whatever the engine's limit is. 431.
	ErrHeadTooLarge = errors.New("request head too large")
	// ErrBodyTooLarge: the part of the request body that Start was given is larger than the backend can take. 413.
	ErrBodyTooLarge = errors.New("request body too large")
)

// RefusalOf returns the status of the answer to an exchange that Start has refused with err, and the time for its Retry-After;
// 0: none.
func RefusalOf(err error) (status int, retryAfter time.Duration) {
	many, isMany := errors.AsType[*TooMany](err)
	switch {
	case isMany:
		return 429, many.RetryAfter
	case errors.Is(err, ErrHeadTooLarge):
		return 431, 0
	case errors.Is(err, ErrBodyTooLarge):
		return 413, 0
	case errors.Is(err, ErrQueueFull), errors.Is(err, ErrNoWorker), errors.Is(err, ErrStopped):
		return 503, time.Second
	}
	return 500, 0
}

// RefusalFields returns the field lines for the same answer; nil: none. They are valid as long as err is.
func RefusalFields(err error) []byte {
	if many, ok := errors.AsType[*TooMany](err); ok {
		return many.Fields
	}
	return nil
}

// TooMany is the error with which Start refuses an exchange because its client sends too many. 429. Whoever
// answers looks at it before the backend is called again.
type TooMany struct {
	RetryAfter time.Duration // until one is taken again
	Fields     []byte        // field lines for the response, each with its CR LF
}

// Error implements error.
func (*TooMany) Error() string { return "rate_limit" }
