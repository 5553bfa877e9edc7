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
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "slowfiles:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	settings servers.Settings
	servers  []string
	clients  int // slow readers
	rounds   int
	duration time.Duration // of a measurement
	name     string
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.settings.Temp, err = os.MkdirTemp("", "moonbridge-slowfiles-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.settings.Temp)
	all, err := measure(ctx, o)
	if err != nil {
		return err
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

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("slowfiles", flag.ContinueOnError)
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	names := flags.String("servers", "mbserve", "`list` of servers: mbserve, nginx")
	mbserve := flags.String("mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	mbFlags := flags.String("mbserve-flags", "", "further command line `arguments` for mbserve, separated by blanks")
	mbOptions := flags.String("mbserve-options", "min_fork=16,max_fork=16", "options for listen{} as a `list`")
	flags.StringVar(&o.settings.NginxModules, "nginx-modules", "/usr/lib/nginx/modules", "`folder` of nginx' modules")
	flags.IntVar(&o.clients, "clients", 1000, "slow readers")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "length of a measurement")
	flags.StringVar(&o.name, "name", "slowfiles", "the report is kept as results/<date>-`name`.txt; - for none")
	if err = flags.Parse(args); err != nil {
		return o, err
	}
	if o.clients < 1 || o.rounds < 1 || o.duration < time.Second {
		return o, errors.New("-clients and -rounds must be at least 1, -duration 1s")
	}
	if o.servers, err = servers.SplitNames(*names); err != nil {
		return o, err
	}
	s := &o.settings
	s.MbserveFlags, s.MbserveOptions = strings.Fields(*mbFlags), strings.Split(*mbOptions, ",")
	if s.Benchmarks, err = servers.FindBenchmarks(*dir); err != nil {
		return o, err
	}
	if *mbserve == "" {
		*mbserve = filepath.Join(s.Benchmarks, "..", "bin", "mbserve")
	}
	if s.Mbserve, err = filepath.Abs(*mbserve); err != nil {
		return o, err
	}
	return o, o.check()
}

// check reports what is missing, and raises the limit of open files.
func (o *options) check() (err error) {
	for _, name := range o.servers {
		if !servers.SlowFiles().Has(name) {
			return fmt.Errorf("%s is not measured here", name)
		}
	}
	if _, err = exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("%w; benchmarks/install.sh installs it", err)
	}
	// A reader is one file here and one in the server, which may open the static file for each one as well.
	if o.settings.Files, err = servers.RaiseFiles(2*o.clients + 2048); err != nil {
		return err
	}
	o.settings.Connections = o.clients + honest + 64
	return o.settings.Check(o.servers)
}

// report prints two rows for each server.
func report(to io.Writer, o options, all []*series) {
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(o.settings.Benchmarks) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\n%d readers of a static file of %d MiB, each with a receive buffer of %d bytes, take %d bytes every %v;\n%d honest clients, %d rounds of %v; mbserve %s\n\n",
		o.clients, servers.HugeBytes>>20, 2*readerBuffer, readerBytes, readerPause, honest, o.rounds, o.duration,
		strings.Join(append(o.settings.MbserveFlags, o.settings.MbserveOptions...), " "))
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "server\thonest clients get\trequests/s alone\tbeside\tto alone\tp99 ms alone\tbeside\tserver CPU µs/req alone\tbeside\tnot 2xx\tKiB for a reader (PSS)\treaders lost\t")
	for _, s := range all {
		for i, work := range s.honest {
			memory, lost := "", ""
			if i == 0 {
				memory, lost = spread(s.perReader, "%.1f"), fmt.Sprint(s.lost)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%s\t%s\t\n", s.server, work.name, spread(work.alone, "%.0f"), spread(work.beside, "%.0f"),
				spread(work.ratio, "%.2f"), stats.Quantile(work.p99Alone, 0.5), stats.Quantile(work.p99Beside, 0.5),
				stats.Quantile(work.cpuAlone, 0.5), stats.Quantile(work.cpuBeside, 0.5), work.bad, memory, lost)
		}
	}
	w.Flush()
	fmt.Fprintln(to, "\nWhat uses the processors, in cores (medians):")
	fmt.Fprintln(w, "server\tmeasurement\tserver\treaders\twrk\teverything else\t")
	for _, s := range all {
		reportCores(w, s.server, "readers only", s.quiet)
		for _, work := range s.honest {
			reportCores(w, s.server, work.name+", alone", work.coresAlone)
			reportCores(w, s.server, work.name+", beside readers", work.coresBeside)
		}
	}
	w.Flush()
	fmt.Fprintln(to, "\nrequests/s, ratio and memory: median (smallest–largest); p99 and CPU: median. The memory is the growth of all processes of the server,\nwithout the socket buffers of the kernel, divided by the number of readers.")
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

func spread(values []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", stats.Quantile(values, 0.5), stats.Quantile(values, 0), stats.Quantile(values, 1))
}
