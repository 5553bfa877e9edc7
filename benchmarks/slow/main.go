package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

func main() { program.Main("slow", parse, run) }

// options are the flags.
type options struct {
	settings servers.Settings
	clients  int // slow clients of each kind
	rounds   int
	duration time.Duration // of a measurement
	name     string
}

const purpose = `Measures honest clients beside slow ones, which slowhttptest plays.`

func run(ctx context.Context, o options) error {
	if _, err := exec.LookPath("slowhttptest"); err != nil {
		return fmt.Errorf("%w: install it with ./install.sh", err)
	}
	o.settings.Connections = 2*o.clients + 64
	if err := o.settings.Prepare(4*o.clients+2048, "mbserve"); err != nil {
		return err
	}
	defer o.settings.Remove()
	all, err := measure(ctx, o)
	if err != nil {
		return err
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, o, all) })
}

func parse(args []string, errout io.Writer) (o options, err error) {
	flags := program.NewFlags("slow", purpose, &o.settings, errout)
	flags.Mbserve()
	flags.Options("min_fork=16,max_fork=16")
	flags.IntVar(&o.clients, "clients", 1000, "slow clients of each kind")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "length of a window")
	flags.Report(&o.name, "slow")
	err = flags.Parse(args)
	return o, err
}

// report prints a row for each situation.
func report(to io.Writer, o options, all []situation) {
	fmt.Fprintf(to, "\n%d slow clients of each kind, %d honest ones, %d rounds of %d windows of %v; mbserve %s %s\n", o.clients, honest,
		o.rounds, windows, o.duration, strings.Join(o.settings.MbserveFlags, " "), strings.Join(o.settings.MbserveOptions, " "))
	fmt.Fprintf(to, "readers: slowhttptest %s\nuploads: slowhttptest %s\n\n", strings.Join(reader.args, " "), strings.Join(upload.args, " "))
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "beside\trequests/s\tto alone\tp99 ms\tnot 2xx\tslow clients connected\tmemory MiB (PSS)\tserver CPU µs/req\tslowhttptest cores\t")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%d\t%.0f\t%.0f\t%.1f\t%.2f\t\n", s.name, stats.Summarise(s.perSecond).Spread("%.0f"), stats.MeanError(s.ratio),
			stats.Quantile(s.p99, 0.5), s.bad, stats.Quantile(s.connected, 0), stats.Quantile(s.memory, 1), stats.Quantile(s.cpu, 0.5),
			stats.Quantile(s.generator, 0.5))
	}
	w.Flush()
	fmt.Fprintln(to, "\nto alone: mean of the rounds ± its standard error (smallest–largest round), each round to the windows just before it;",
		"\nthe others: median (smallest–largest) of the windows; connected: smallest; memory: largest.")
}
