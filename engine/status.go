package engine

// Statuses that the engine answers itself (RFC 9110 §15).
const (
	statusBadRequest      = 400
	statusTimeout         = 408
	statusContentTooLarge = 413
	statusTooMany         = 429
	statusHeadTooLarge    = 431
	statusInternal        = 500
	statusNotImplemented  = 501
	statusBadGateway      = 502
	statusUnavailable     = 503
	statusVersion         = 505

	statusInsufficientStorage = 507
)

// retryAfterSeconds is what a peer is told with a 503 that the engine decides on.
const retryAfterSeconds = 1
