package handler

import "errors"

// Errors with which LoopBackend.Start refuses an exchange. The engine answers each of them with 503.
var (
	// ErrQueueFull says that as many exchanges wait as may.
	ErrQueueFull = errors.New("queue full")
	// ErrNoWorker says that nobody is there to serve, and nobody about to come.
	ErrNoWorker = errors.New("no worker")
	// ErrStopped says that the backend takes no further exchange.
	ErrStopped = errors.New("backend stopped")
)
