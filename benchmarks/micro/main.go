package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

func main() { program.Main("micro", parseOptions, run) }

type options struct {
	bench  string
	rounds int
	time   string
	name   string

	settings servers.Settings // only the folder is used
}

const purpose = `Measures the parsers of request and response heads beside those of net/http and fasthttp, the timing wheel,
and the queue to the workers.`

func parseOptions(args []string, errout io.Writer) (o options, err error) {
	flags := program.NewFlags("micro", purpose, &o.settings, errout)
	flags.StringVar(&o.bench, "bench", ".", "`expression` that selects benchmarks, as for go test")
	flags.IntVar(&o.rounds, "rounds", 5, "runs of each benchmark")
	flags.StringVar(&o.time, "time", "1s", "length of a run, or a number of iterations such as 1000x")
	flags.Report(&o.name, "micro")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 {
		return o, errors.New("-rounds must be at least 1")
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	all, err := measure(ctx, o)
	if err != nil {
		return err
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, o, all) })
}

// measure runs all benchmarks once in each round, so that a disturbance of the machine affects all of them.
func measure(ctx context.Context, o options) ([]*benchmark, error) {
	var output strings.Builder
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", o.bench, "-benchtime", o.time, "-cpu", "1", "./micro")
		cmd.Dir = o.settings.Benchmarks
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // which ends the test program too
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("go test: %w\n%s", err, out)
		}
		output.Write(out)
	}
	return parse(output.String())
}

// report prints a row for each benchmark.
func report(to io.Writer, o options, all []*benchmark) {
	fmt.Fprintf(to, "\n%d rounds of %s each, one core: medians (smallest–largest); ratios within the rounds\n\n", o.rounds, o.time)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "benchmark\tby\tns\ttimes ours\tbytes\tallocations")
	for _, b := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", b.group, b.name, stats.Summarise(b.ns).Spread("%.1f"), timesOurs(all, b),
			whole(b.bytes), whole(b.allocs))
	}
	w.Flush()
}

// whole formats the median of a series, or "-" if it was not measured.
func whole(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	return strconv.FormatFloat(stats.Quantile(values, 0.5), 'f', 0, 64)
}

// timesOurs says how many times as long as ours a benchmark takes.
func timesOurs(all []*benchmark, b *benchmark) string {
	ours := find(all, b.group, base)
	if ours == nil || ours == b {
		return strconv.Itoa(1)
	}
	s := stats.Summarise(stats.Ratios(b.ns, ours.ns))
	switch s.Verdict() {
	case stats.Unknown:
		return fmt.Sprintf("%.2f ?", s.Median)
	case stats.Equal:
		return s.Spread("%.2f") + " ≈"
	default:
		return s.Spread("%.2f")
	}
}
