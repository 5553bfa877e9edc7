package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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
		fmt.Fprintln(os.Stderr, "workers:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "workers:", err)
		os.Exit(1)
	}
}

type options struct {
	workers  int
	rounds   int
	name     string
	settings servers.Settings
}

const usage = `usage: workers [flags]

Starts mbserve with many Lua workers and measures the time to start them, their memory, and
the time of a reload.

flags:
`

// workersMax is the largest pool that mbserve allows.
const workersMax = 1024

func parseOptions(args []string, errout io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("workers", flag.ContinueOnError)
	flags.SetOutput(errout)
	flags.Usage = func() {
		fmt.Fprint(errout, usage)
		flags.PrintDefaults()
	}
	s := &o.settings
	flags.IntVar(&o.workers, "workers", 64, "number of workers")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; medians are taken over them")
	flags.StringVar(&o.name, "name", "workers", "the report is kept as results/<date>-`name`.txt; - for none")
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	flags.StringVar(&s.Mbserve, "mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	mbFlags := flags.String("mbserve-flags", "", "further command line `arguments` for mbserve, separated by blanks")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.workers < 2 || o.workers > workersMax:
		return o, fmt.Errorf("-workers must be from 2 to %d", workersMax)
	case o.rounds < 1:
		return o, errors.New("-rounds must be at least 1")
	case o.name == "" || strings.ContainsAny(o.name, "/\x00"):
		return o, errors.New("-name must not be empty or a path")
	}
	s.MbserveFlags = strings.Fields(*mbFlags)
	if s.Benchmarks, err = servers.FindBenchmarks(*dir); err != nil {
		return o, err
	}
	if s.Mbserve == "" {
		s.Mbserve = filepath.Join(s.Benchmarks, "..", "bin", "mbserve")
	}
	s.Mbserve, err = filepath.Abs(s.Mbserve)
	return o, err
}

func run(ctx context.Context, o options) (err error) {
	if o.settings.Files, err = servers.RaiseFiles(4096 + 8*o.workers); err != nil {
		return err
	}
	if o.settings.Temp, err = os.MkdirTemp("", "moonbridge-workers-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.settings.Temp)
	if err := o.settings.Check([]string{"mbserve"}); err != nil {
		return err
	}
	var all []observation
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		seen, err := observe(ctx, o)
		if err != nil {
			return err
		}
		all = append(all, seen)
	}
	if o.name == "-" {
		report(os.Stdout, o, all)
		return nil
	}
	file, err := os.Create(filepath.Join(o.settings.Benchmarks, "results", time.Now().Format("2006-01-02-")+o.name+".txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	report(io.MultiWriter(os.Stdout, file), o, all)
	return file.Close()
}

// report prints a row for each figure.
func report(to io.Writer, o options, all []observation) {
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(o.settings.Benchmarks) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "mbserve  %s\n", machine.Version(o.settings.Mbserve, "--version"))
	fmt.Fprintf(to, "\n%d workers, %d rounds with new processes: median (smallest–largest)\n\n", o.workers, o.rounds)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, f := range figures {
		var values []float64
		for _, seen := range all {
			values = append(values, f.value(seen))
		}
		s := stats.Summarise(values)
		fmt.Fprintf(w, "%s\t%.2f (%.2f–%.2f) %s\n", f.name, s.Median, s.Min, s.Max, f.unit)
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
