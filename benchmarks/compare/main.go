package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"moonbridge/benchmarks/internal/servers"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// run runs the whole comparison. Measurements made before an error or a signal are still written.
func run(ctx context.Context, o options) (err error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("%w; benchmarks/install.sh installs it", err)
	}
	// A connection is one file in wrk and one in the server; the rest is for a server's other files.
	most := o.connsMost()
	files, err := servers.RaiseFiles(most + 2048)
	if err != nil {
		return err
	}
	o.settings.Files, o.settings.Connections = files, most
	temp, err := os.MkdirTemp("", "moonbridge-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	o.settings.Temp = temp
	if err := o.settings.Check(o.serversUsed()); err != nil {
		return err
	}
	results := make([]workloadResult, 0, len(o.workloads))
	for _, w := range o.workloads {
		b := bench{options: o, workload: w, progress: os.Stderr}
		err = b.run(ctx)
		if len(b.result.runs) > 0 {
			results = append(results, b.result)
		}
		if err != nil {
			break
		}
	}
	if len(results) == 0 {
		return err
	}
	text := report(o, collectFacts(o, results), results, err)
	fmt.Print(text)
	if o.out == "-" {
		return err
	}
	path, writeErr := writeResult(o.out, o.name, text)
	if writeErr == nil {
		fmt.Fprintln(os.Stderr, "written to", path)
	}
	return errors.Join(err, writeErr)
}
