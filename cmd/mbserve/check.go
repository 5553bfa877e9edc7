package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"moonbridge/handler/pool"
)

// check loads the script, shows what it asks for and binds nothing. It returns the exit code.
func check(o *options, stdout, stderr io.Writer) int {
	specs := []*pool.PoolSpec{}
	host, err := pool.Start(context.Background(), pool.Config{
		Script: o.script, Args: o.args,
		Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Listen: func(_ int, spec *pool.PoolSpec) error { specs = append(specs, spec); return nil },
	})
	if err != nil {
		return new(server).complain(stderr, err)
	}
	defer host.Kill()
	for n, spec := range specs {
		op := spec.Options
		fmt.Fprintf(stdout, "pool %d: %d to %d workers, %d spare\n", n, op.MinFork, op.MaxFork, op.PreFork)
		for i := range spec.Listeners {
			fmt.Fprintf(stdout, "  %s\n", spec.Listeners[i].String())
		}
	}
	fmt.Fprintf(stdout, "%s: good\n", o.script)
	return exitOK
}
