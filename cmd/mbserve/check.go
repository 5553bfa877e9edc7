package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"moonbridge/handler/pool"
)

// check loads the script and shows its pools and listeners, without binding any. It returns the exit code.
func check(o *options, stdout, stderr io.Writer) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	defer cancel()
	if err := readable(o.script); err != nil {
		return complain(stderr, err)
	}
	specs, err := pool.Check(ctx, pool.Config{Script: o.script, Args: o.args, Version: version, Logger: newLogger(stderr, o.logFormat, o.debug)})
	if ctx.Err() != nil {
		err = errStopped
	}
	if err != nil {
		return complain(stderr, err)
	}
	for n, spec := range specs {
		op := spec.Options
		fmt.Fprintf(stdout, "pool %d: %d to %d workers, %d spare\n", n, op.MinFork, op.MaxFork, op.PreFork)
		for i := range spec.Listeners {
			l := &spec.Listeners[i]
			what := ""
			if l.Raw() {
				what = ", raw connections"
			}
			fmt.Fprintf(stdout, "  %s%s\n", l, what)
		}
	}
	fmt.Fprintf(stdout, "%s: OK\n", o.script)
	return exitOK
}
