package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

// Main parses the command line of the program called name and runs it. It ends the process with status 2 if the command line is
// wrong, and with 1 if run fails. SIGINT, SIGTERM and SIGHUP end the context of run.
func Main[O any](name string, parse func(args []string, errout io.Writer) (O, error), run func(context.Context, O) error) {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Sleep waits for d, or returns the error of a context that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// restTimeout bounds how long a server may take to come to rest.
const restTimeout = 60 * time.Second

// Rest waits until a server is at rest: until it uses less than a part of one core.
func Rest(ctx context.Context, server *servers.Server, part float64) error {
	const every = 500 * time.Millisecond
	before, _ := server.Tree.CPU()
	for end := time.Now().Add(restTimeout); time.Now().Before(end); {
		if err := Sleep(ctx, every); err != nil {
			return err
		}
		now, _ := server.Tree.CPU()
		if (now - before).Seconds() < part*every.Seconds() {
			return nil
		}
		before = now
	}
	return errors.New("the server does not come to rest")
}
