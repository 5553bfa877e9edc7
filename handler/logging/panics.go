package logging

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime/debug"
)

const (
	// panicsPerSecond are logged, and panicsBurst at once: a client may cause one with each of its requests.
	panicsPerSecond = 50
	panicsBurst     = 500
	// panicTextMax is how many bytes of the value of a panic, and of its stack, go into a line.
	panicTextMax = 32 << 10
)

// Panics logs panics of functions that a program has given to a package, and that have cost a request or a connection: 50 a second, and
// 500 at once. Others are counted.
type Panics struct {
	log   *slog.Logger
	quota *Quota
}

// NewPanics returns a Panics for a Logger. nil: slog.Default().
func NewPanics(log *slog.Logger) *Panics {
	log = cmp.Or(log, slog.Default())
	return &Panics{log, NewQuota(panicsPerSecond, panicsBurst, func(count int) {
		log.Error("panics not logged: too many", "count", count)
	})}
}

// Log logs a panic in the function with this name. It has to be called by the deferred function that has recovered cause: there the
// stack is that of the panic.
func (p *Panics) Log(function string, cause any) {
	if p.quota.Allow() {
		p.log.Error("panic", "in", function, "err", cut(fmt.Sprint(cause)), "stack", cut(string(debug.Stack())))
	}
}

func cut(s string) string {
	if len(s) <= panicTextMax {
		return s
	}
	return fmt.Sprintf("%s… (%d more bytes)", s[:panicTextMax], len(s)-panicTextMax)
}
