package engine

import (
	"log/slog"
	"runtime"
	"time"

	"moonbridge/httpparse"
)

// Options configure an Engine. The zero value is a usable default.
type Options struct {
	// Loops is the number of event loops, each with an operating system thread of its own. 0: one per processor.
	Loops int
	// MaxConns bounds the connections of all listeners together; a connection above it is answered 503 and closed, a
	// raw one reset. 0: what the limit on open files leaves room for.
	MaxConns int
	// Logger receives what operators need to know. nil: slog.Default().
	Logger *slog.Logger
	// AccessLog is called for each exchange when it is over: a response was sent, one of the engine's own included, or broke
	// off. It is called on the loop of the connection, so it must not block, and must not call the Engine; calls on
	// different loops overlap. nil: nothing is recorded, and no clock is read.
	AccessLog func(*Access)
}

func (o Options) loops() int {
	if o.Loops > 0 {
		return o.Loops
	}
	return runtime.NumCPU()
}

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// Limits bound what one connection may cost. For each field 0 means its default and a negative value none.
type Limits struct {
	HeadBytes   int64 // request line and fields; above: 431 (414 for the target). Default 1 MiB
	BodyBytes   int64 // content of a request body; above: 413. Default 64 MiB
	BufferBody  int64 // a body up to this many bytes is read before a handler is called. Default 64 KiB
	OutputBytes int64 // response bytes held for a peer that reads slowly. Default 128 KiB

	IdleTimeout     time.Duration // waiting for the next request: closed. Default 65 s
	HeadTimeout     time.Duration // from the first byte of a request to the end of its head: 408. Default 120 s
	StallTimeout    time.Duration // no byte moved in a body (408) or a response (reset). Default 60 s
	ResponseTimeout time.Duration // from the request's head to the end of the response: reset. Default 3600 s
	DrainTimeout    time.Duration // a closing connection waits this long for the peer to take everything. Default 2 s
}

// The defaults of Limits, and limits that are not options.
const (
	headBytesDefault   = 1 << 20
	bodyBytesDefault   = 64 << 20
	bufferBodyDefault  = 64 << 10
	outputBytesDefault = 128 << 10

	idleTimeoutDefault     = 65 * time.Second
	headTimeoutDefault     = 120 * time.Second
	stallTimeoutDefault    = 60 * time.Second
	responseTimeoutDefault = 3600 * time.Second
	drainTimeoutDefault    = 2 * time.Second

	// readsPerTurn bounds what one connection may read in a turn, so that a fast upload does not starve the others.
	readsPerTurn = 16
	// drainBytesMax is how much a lingering connection reads and throws away before it is reset.
	drainBytesMax = 16 << 20
	// reservedFiles stay free of connections: listeners, pollers, doorbells, logs, pipes of workers.
	reservedFiles = 256
)

// noLimit stands for "none": larger than anything that is compared with it.
const noLimit = int64(1) << 62

// limits are Limits with the defaults filled in; times in milliseconds.
type limits struct {
	head httpparse.Limits

	body        httpparse.BodyLimits
	outputBytes int

	idleMS, headMS, stallMS, responseMS, drainMS uint64
}

func (l Limits) resolve() limits {
	return limits{
		head: httpparse.Limits{HeadBytes: int(orDefault(l.HeadBytes, headBytesDefault, 1<<30))},
		body: httpparse.BodyLimits{
			Bytes: orDefault(l.BodyBytes, bodyBytesDefault, noLimit),
			Await: orDefault(l.BufferBody, bufferBodyDefault, 0),
		},
		outputBytes: int(orDefault(l.OutputBytes, outputBytesDefault, 0)),
		idleMS:      milliseconds(l.IdleTimeout, idleTimeoutDefault),
		headMS:      milliseconds(l.HeadTimeout, headTimeoutDefault),
		stallMS:     milliseconds(l.StallTimeout, stallTimeoutDefault),
		responseMS:  milliseconds(l.ResponseTimeout, responseTimeoutDefault),
		drainMS:     milliseconds(l.DrainTimeout, drainTimeoutDefault),
	}
}

func orDefault(v, def, none int64) int64 {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}

// milliseconds rounds up, so that no timeout ends early; 0 of the result means none.
func milliseconds(d, def time.Duration) uint64 {
	if d < 0 {
		return 0
	}
	if d == 0 {
		d = def
	}
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}
