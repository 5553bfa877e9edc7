package main

import (
	"context"
	"errors"
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

func main() { program.Main("slowfiles", parse, run) }

// options are the flags.
type options struct {
	settings servers.Settings
	servers  []string
	clients  int // slow readers
	rounds   int
	duration time.Duration // of a measurement
	name     string
}

const purpose = `Measures honest clients beside slow readers of a large static file.`

func run(ctx context.Context, o options) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("%w; benchmarks/install.sh installs it", err)
	}
	o.settings.Connections = o.clients + honest + 64
	// A reader is one file here and one in the server, which may open the static file for each one as well.
	if err := o.settings.Prepare(2*o.clients+2048, o.servers...); err != nil {
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
	flags := program.NewFlags("slowfiles", purpose, &o.settings, errout)
	names := flags.String("servers", "mbserve", "`list` of servers: mbserve, nginx")
	flags.Mbserve()
	flags.Options("min_fork=16,max_fork=16")
	flags.Nginx()
	flags.IntVar(&o.clients, "clients", 1000, "slow readers")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "length of a window")
	flags.Report(&o.name, "slowfiles")
	if err = flags.Parse(args); err != nil {
		return o, err
	}
	if o.clients < 1 || o.rounds < 1 || o.duration < time.Second {
		return o, errors.New("-clients and -rounds must be at least 1, -duration 1s")
	}
	if o.servers, err = servers.SplitNames(*names); err != nil {
		return o, err
	}
	for _, name := range o.servers {
		if !servers.SlowFiles().Has(name) {
			return o, fmt.Errorf("%s is not measured here", name)
		}
	}
	return o, nil
}

// report prints two rows for each server.
func report(to io.Writer, o options, all []*series) {
	fmt.Fprintf(to, "\n%d readers of a static file of %d MiB, each with a receive buffer of %d bytes, take %d bytes every %v;\n%d honest clients; %d rounds of %d windows of %v before, beside and after the readers; mbserve %s\n\n",
		o.clients, servers.HugeBytes>>20, 2*readerBuffer, readerBytes, readerPause, honest, o.rounds, windows, o.duration,
		strings.Join(append(o.settings.MbserveFlags, o.settings.MbserveOptions...), " "))
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "server\thonest clients get\trequests/s alone\tbeside\tto alone\tp99 ms alone\tbeside\tserver CPU µs/req alone\tbeside\tnot 2xx\tKiB for a reader (PSS)\treaders lost\t")
	for _, s := range all {
		for i, work := range s.honest {
			memory, lost := "", ""
			if i == 0 {
				memory, lost = spread(s.perReader, "%.1f"), fmt.Sprint(s.lost)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%s\t%s\t\n", s.server, work.name, spread(work.alone.perSecond, "%.0f"), spread(work.beside.perSecond, "%.0f"),
				stats.MeanError(work.ratio), stats.Quantile(work.alone.p99, 0.5), stats.Quantile(work.beside.p99, 0.5),
				stats.Quantile(work.alone.cpu, 0.5), stats.Quantile(work.beside.cpu, 0.5), work.bad, memory, lost)
		}
	}
	w.Flush()
	fmt.Fprintln(to, "\nWhat uses the processors, in cores (medians):")
	fmt.Fprintln(w, "server\tmeasurement\tserver\treaders\twrk\teverything else\t")
	for _, s := range all {
		reportCores(w, s.server, "readers only", s.quiet)
		for _, work := range s.honest {
			reportCores(w, s.server, work.name+", alone", work.alone.cores)
			reportCores(w, s.server, work.name+", beside readers", work.beside.cores)
		}
	}
	w.Flush()
	fmt.Fprintln(to, "\nto alone: mean of the rounds ± its standard error (smallest–largest round); requests/s and memory: median (smallest–largest);\np99 and CPU: median. The memory is the growth of all processes of the server,\nwithout the socket buffers of the kernel, divided by the number of readers.")
}

// reportCores prints a row of what used the processors.
func reportCores(to io.Writer, server, what string, all []cores) {
	median := func(of func(cores) float64) float64 {
		var values []float64
		for _, c := range all {
			values = append(values, of(c))
		}
		return stats.Quantile(values, 0.5)
	}
	fmt.Fprintf(to, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t\n", server, what, median(func(c cores) float64 { return c.server }),
		median(func(c cores) float64 { return c.readers }), median(func(c cores) float64 { return c.wrk }), median(func(c cores) float64 { return c.rest }))
}

func spread(values []float64, format string) string { return stats.Summarise(values).Spread(format) }
