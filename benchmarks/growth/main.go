package main

import (
	"context"
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
)

// sets lists the sets of options to compare. The empty one means the defaults.
var sets = []string{
	"",
	"pre_fork=8,max_fork=64",
	"pre_fork=8,max_fork=64,fork_delay=0.05",
	"min_fork=64,max_fork=64",
}

// common is in all sets. The delay is short, so that the end of the workers is seen too.
const common = "exit_delay=0.25"

// step is one step of the load.
type step struct {
	clients int
	span    time.Duration
}

var steps = []step{{1, 3 * time.Second}, {50, 8 * time.Second}, {200, 8 * time.Second}, {1, 18 * time.Second}}

// every is how often the processes are counted.
const every = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	mbserve := flags.String("mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	name := flags.String("name", "growth", "the report is kept as results/<date>-`name`.txt")
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil
		}
		return err
	}
	settings, err := prepare(*dir, *mbserve)
	if err != nil {
		return err
	}
	defer os.RemoveAll(settings.Temp)
	var all []series
	for _, set := range sets {
		fmt.Fprintln(os.Stderr, "measuring", title(set))
		s, err := measure(ctx, settings, set)
		if err != nil {
			return fmt.Errorf("%s: %w", title(set), err)
		}
		all = append(all, s)
	}
	file, err := os.Create(filepath.Join(settings.Benchmarks, "results", time.Now().Format("2006-01-02-")+*name+".txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	report(io.MultiWriter(os.Stdout, file), settings, all)
	return file.Close()
}

func prepare(dir, mbserve string) (s servers.Settings, err error) {
	if s.Benchmarks, err = servers.FindBenchmarks(dir); err != nil {
		return s, err
	}
	if mbserve == "" {
		mbserve = filepath.Join(s.Benchmarks, "..", "bin", "mbserve")
	}
	if s.Mbserve, err = filepath.Abs(mbserve); err != nil {
		return s, err
	}
	if s.Files, err = servers.RaiseFiles(1024); err != nil {
		return s, err
	}
	s.Connections = 256
	if s.Temp, err = os.MkdirTemp("", "moonbridge-growth-"); err != nil {
		return s, err
	}
	return s, s.Check([]string{"mbserve"})
}

func title(set string) string {
	if set == "" {
		return "the defaults"
	}
	return strings.ReplaceAll(set, ",", ", ")
}

// report writes one table: a row for each moment, two columns for each set.
func report(to io.Writer, settings servers.Settings, all []series) {
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(settings.Benchmarks) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\nThe handler waits for 20 ms. All sets have %s.\n", common)
	for i, set := range sets {
		fmt.Fprintf(to, "%c: %s\n", 'A'+i, title(set))
	}
	fmt.Fprintf(to, "Workers are counted at the time in the first column, answers in the %v before.\n\n", every)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "seconds\tclients\t")
	for i := range sets {
		fmt.Fprintf(w, "%c: workers\tanswers/s\tp50 ms\t", 'A'+i)
	}
	fmt.Fprintln(w)
	for row := range all[0].moments {
		fmt.Fprintf(w, "%.0f\t%d\t", all[0].moments[row].at.Seconds(), all[0].moments[row].clients)
		for _, s := range all {
			m := s.moments[row]
			fmt.Fprintf(w, "%d\t%.0f\t%.0f\t", m.workers, m.perSecond, m.p50)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintln(to)
	for i, s := range all {
		fmt.Fprintf(to, "%c: %d answers other than 200; memory of all processes (PSS) %.1f MiB with %d workers, %.1f MiB with %d: %s\n",
			'A'+i, s.refused, mebibytes(s.few), s.fewWorkers, mebibytes(s.many), s.manyWorkers, s.perWorker())
	}
}

func mebibytes(n uint64) float64 { return float64(n) / (1 << 20) }
