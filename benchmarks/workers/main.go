package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

func main() { program.Main("workers", parseOptions, run) }

type options struct {
	workers  int
	rounds   int
	name     string
	settings servers.Settings
}

const purpose = `Starts mbserve with many Lua workers and measures the time to start them, their memory, and
the time of a reload.`

// workersMax is the largest pool that mbserve allows.
const workersMax = 1024

func parseOptions(args []string, errout io.Writer) (o options, err error) {
	flags := program.NewFlags("workers", purpose, &o.settings, errout)
	flags.IntVar(&o.workers, "workers", 64, "number of workers")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; medians are taken over them")
	flags.Report(&o.name, "workers")
	flags.Mbserve()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.workers < 2 || o.workers > workersMax:
		return o, fmt.Errorf("-workers must be from 2 to %d", workersMax)
	case o.rounds < 1:
		return o, errors.New("-rounds must be at least 1")
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	if err := o.settings.Prepare(4096+8*o.workers, "mbserve"); err != nil {
		return err
	}
	defer o.settings.Remove()
	var all []observation
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		seen, err := observe(ctx, o)
		if err != nil {
			return err
		}
		all = append(all, seen)
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, o, all) })
}

// report prints a row for each figure.
func report(to io.Writer, o options, all []observation) {
	fmt.Fprintf(to, "mbserve  %s\n", machine.Version(o.settings.Mbserve, "--version"))
	fmt.Fprintf(to, "\n%d workers, %d rounds with new processes: median (smallest–largest)\n\n", o.workers, o.rounds)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, f := range figures {
		var values []float64
		for _, seen := range all {
			values = append(values, f.value(seen))
		}
		fmt.Fprintf(w, "%s\t%s %s\n", f.name, stats.Summarise(values).Spread("%.2f"), f.unit)
	}
	w.Flush()
	failed := 0
	for _, seen := range all {
		failed += seen.failed
	}
	fmt.Fprintf(to, "\n%d requests failed during the reloads\n", failed)
}

// figures are the rows of the report.
var figures = []struct {
	name, unit string
	value      func(observation) float64
}{
	{"start of the server, until the first worker is ready", "ms", func(o observation) float64 { return ms(o.firstReady) }},
	{"start of all workers at once, time per worker", "ms", func(o observation) float64 { return ms(o.perWorker) }},
	{"a killed worker, until its successor is ready", "ms", func(o observation) float64 { return ms(o.replaced) }},
	{"reload, until the first answer of the new script", "ms", func(o observation) float64 { return ms(o.reload) }},
	{"private memory of a worker that has answered nothing", "KiB", func(o observation) float64 { return o.fresh.private }},
	{"its share of all memory (PSS)", "KiB", func(o observation) float64 { return o.fresh.pss }},
	{"private memory of a worker after the requests", "KiB", func(o observation) float64 { return o.used.private }},
	{"its share of all memory (PSS)", "KiB", func(o observation) float64 { return o.used.pss }},
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
