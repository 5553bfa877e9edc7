package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
)

// check loads the script and shows its pools and listeners, without binding any. It returns the exit code.
func check(o *options, stdout, stderr io.Writer) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	defer cancel()
	if o.static != "" {
		return checkDirectory(o, stdout, stderr)
	}
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
			if l.TLS != nil {
				what += ", TLS"
				if l.TLS.ACME != nil {
					what += ", certificates by ACME for " + strings.Join(l.TLS.ACME.Domains, ", ")
				}
			}
			if l.RedirectHTTPS != 0 {
				what = ", redirected to https"
			}
			fmt.Fprintf(stdout, "  %s%s\n", l, what)
		}
		for i := range op.Routes {
			fmt.Fprintf(stdout, "  route %s\n", routeLine(&op.Routes[i]))
		}
	}
	for _, spec := range specs {
		if err := checkStatic(spec); err != nil {
			return complain(stderr, err)
		}
		if err := checkTLS(spec); err != nil {
			return complain(stderr, err)
		}
		if err := checkRoutes(spec); err != nil {
			return complain(stderr, err)
		}
	}
	fmt.Fprintf(stdout, "%s: OK\n", o.script)
	return exitOK
}

// checkStatic checks whether the files of a pool can be opened.
func checkStatic(spec *listen.Spec) error {
	files, err := openStatic(spec.Options.Static, false, nil)
	if files != nil {
		files.Close()
	}
	return err
}

// checkDirectory checks --static.
func checkDirectory(o *options, stdout, stderr io.Writer) int {
	spec, err := directorySpec(o)
	if err == nil {
		err = checkStatic(spec)
	}
	if err != nil {
		return complain(stderr, err)
	}
	fmt.Fprintf(stdout, "%s on %s: OK\n", o.static, spec.Listeners[0].Address())
	return exitOK
}
