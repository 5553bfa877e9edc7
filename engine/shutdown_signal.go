package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ShutdownOnSignal waits until the process gets SIGINT or SIGTERM, and then ends the engine. A second signal ends the process at once.
//
// The end is that of Shutdown, for which connections have the time of grace. When they have ended, or grace is over, it calls the functions
// of last, in their order, and then the loops stop. last is for what requests need until their end: the workers of a pool (pool.Host.Stop), a
// database. The errors are those of last, and one that says that connections were cut, because grace was over.
func (e *Engine) ShutdownOnSignal(grace time.Duration, last ...func(context.Context) error) error {
	if e.onLoop() {
		return ErrOnLoop
	}
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-signalled.Done()
	stop() // the next one is no longer ours
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	e.Drain(ctx) // Shutdown tells whether connections are left
	var errs []error
	for _, f := range last {
		errs = append(errs, f(ctx))
	}
	if err := e.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("connections were cut after %v: %w", grace, err))
	}
	return errors.Join(errs...)
}
