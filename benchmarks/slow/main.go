package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "slow:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	settings servers.Settings
	clients  int // slow clients of each kind
	rounds   int
	duration time.Duration // of a measurement
	name     string
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err == flag.ErrHelp {
		return nil
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(o.settings.Temp)
	all, err := measure(ctx, o)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(o.settings.Benchmarks, "results", time.Now().Format("2006-01-02-")+o.name+".txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	report(io.MultiWriter(os.Stdout, file), o, all)
	return file.Close()
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("slow", flag.ContinueOnError)
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	mbserve := flags.String("mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	mbFlags := flags.String("mbserve-flags", "", "further command line `arguments` for mbserve, separated by blanks")
	mbOptions := flags.String("mbserve-options", "min_fork=16,max_fork=16", "options for listen{} as a `list`")
	flags.IntVar(&o.clients, "clients", 1000, "slow clients of each kind")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "length of a window")
	flags.StringVar(&o.name, "name", "slow", "the report is kept as results/<date>-`name`.txt")
	if err = flags.Parse(args); err != nil {
		return o, err
	}
	s := &o.settings
	if s.Benchmarks, err = servers.FindBenchmarks(*dir); err != nil {
		return o, err
	}
	if *mbserve == "" {
		*mbserve = filepath.Join(s.Benchmarks, "..", "bin", "mbserve")
	}
	if s.Mbserve, err = filepath.Abs(*mbserve); err != nil {
		return o, err
	}
	s.MbserveFlags, s.MbserveOptions = strings.Fields(*mbFlags), strings.Split(*mbOptions, ",")
	if s.Files, err = servers.RaiseFiles(4*o.clients + 2048); err != nil {
		return o, err
	}
	s.Connections = 2*o.clients + 64
	if _, err = exec.LookPath("slowhttptest"); err != nil {
		return o, fmt.Errorf("%w: install it with ./install.sh", err)
	}
	if err = s.Check([]string{"mbserve"}); err != nil {
		return o, err
	}
	s.Temp, err = os.MkdirTemp("", "moonbridge-slow-")
	return o, err
}

// report prints a row for each situation.
func report(to io.Writer, o options, all []situation) {
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(o.settings.Benchmarks) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\n%d slow clients of each kind, %d honest ones, %d rounds of %d windows of %v; mbserve %s %s\n", o.clients, honest,
		o.rounds, windows, o.duration, strings.Join(o.settings.MbserveFlags, " "), strings.Join(o.settings.MbserveOptions, " "))
	fmt.Fprintf(to, "readers: slowhttptest %s\nuploads: slowhttptest %s\n\n", strings.Join(reader.args, " "), strings.Join(upload.args, " "))
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "beside\trequests/s\tto alone\tp99 ms\tnot 2xx\tslow clients connected\tmemory MiB (PSS)\tserver CPU µs/req\tslowhttptest cores\t")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%d\t%.0f\t%.0f\t%.1f\t%.2f\t\n", s.name, spread(s.perSecond, "%.0f"), ratios(s.ratio),
			stats.Quantile(s.p99, 0.5), s.bad, stats.Quantile(s.connected, 0), stats.Quantile(s.memory, 1), stats.Quantile(s.cpu, 0.5),
			stats.Quantile(s.generator, 0.5))
	}
	w.Flush()
	fmt.Fprintln(to, "\nto alone: mean of the rounds ± its standard error (smallest–largest round), each round to the windows just before it;",
		"\nthe others: median (smallest–largest) of the windows; connected: smallest; memory: largest.")
}

// ratios is the mean with its standard error, and the range.
func ratios(values []float64) string {
	n := float64(len(values))
	if n == 0 { // the row of those alone
		return "1"
	}
	if n == 1 {
		return spread(values, "%.2f")
	}
	mean, square := 0.0, 0.0
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		square += (v - mean) * (v - mean)
	}
	return fmt.Sprintf("%.2f ± %.2f (%.2f–%.2f)", mean, math.Sqrt(square/(n-1)/n), stats.Quantile(values, 0), stats.Quantile(values, 1))
}

func spread(values []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", stats.Quantile(values, 0.5), stats.Quantile(values, 0), stats.Quantile(values, 1))
}
