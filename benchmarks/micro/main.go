package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "micro:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "micro:", err)
		os.Exit(1)
	}
}

type options struct {
	bench  string
	rounds int
	time   string
	name   string
	dir    string
}

const usage = `usage: micro [flags]

Measures the parsers of request and response heads beside those of net/http and fasthttp, the timing wheel,
and the queue to the workers.

flags:
`

func parseOptions(args []string, errout io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("micro", flag.ContinueOnError)
	flags.SetOutput(errout)
	flags.Usage = func() {
		fmt.Fprint(errout, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.bench, "bench", ".", "`expression` that selects benchmarks, as for go test")
	flags.IntVar(&o.rounds, "rounds", 5, "runs of each benchmark")
	flags.StringVar(&o.time, "time", "1s", "length of a run, or a number of iterations such as 1000x")
	flags.StringVar(&o.name, "name", "micro", "the report is kept as results/<date>-`name`.txt; - for none")
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1:
		return o, errors.New("-rounds must be at least 1")
	case o.name == "" || strings.ContainsAny(o.name, "/\x00"):
		return o, errors.New("-name must not be empty or a path")
	}
	o.dir, err = servers.FindBenchmarks(*dir)
	return o, err
}

func run(ctx context.Context, o options) error {
	all, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if o.name == "-" {
		report(os.Stdout, o, all)
		return nil
	}
	file, err := os.Create(filepath.Join(o.dir, "results", time.Now().Format("2006-01-02-")+o.name+".txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	report(io.MultiWriter(os.Stdout, file), o, all)
	return file.Close()
}

// measure runs all benchmarks once in each round, so that a disturbance of the machine affects all of them.
func measure(ctx context.Context, o options) ([]*benchmark, error) {
	var output strings.Builder
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", o.bench, "-benchtime", o.time, "-cpu", "1", "./micro")
		cmd.Dir = o.dir
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
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(o.dir) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\n%d rounds of %s each, one core: medians (smallest–largest); ratios within the rounds\n\n", o.rounds, o.time)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "benchmark\tby\tns\ttimes ours\tbytes\tallocations")
	for _, b := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", b.group, b.name, spread(stats.Summarise(b.ns), "%.1f"), timesOurs(all, b),
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
		return spread(s, "%.2f") + " ≈"
	default:
		return spread(s, "%.2f")
	}
}

func spread(s stats.Summary, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.Median, s.Min, s.Max)
}
