package engine

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ShutdownOnSignal waits until the process gets SIGINT or SIGTERM. Then it calls Shutdown, for which connections have the time of grace. A
// second signal ends the process at once. The error says that connections were cut, because grace was over.
//
// It is for programs that have nothing else to end. Others wait for signals themselves (os/signal), and call Drain and Shutdown.
func (e *Engine) ShutdownOnSignal(grace time.Duration) error {
	if e.onLoop() {
		return ErrOnLoop
	}
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-signalled.Done()
	stop() // the next one is no longer ours
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		return fmt.Errorf("connections were cut after %v: %w", grace, err)
	}
	return nil
}
