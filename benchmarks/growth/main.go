package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/program"
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

func main() { program.Main("growth", parse, run) }

type options struct {
	settings servers.Settings
	name     string
}

const purpose = `Counts the workers of pools with different options under a load in steps.`

func parse(args []string, errout io.Writer) (o options, err error) {
	flags := program.NewFlags("growth", purpose, &o.settings, errout)
	flags.Mbserve()
	flags.Report(&o.name, "growth")
	err = flags.Parse(args)
	return o, err
}

func run(ctx context.Context, o options) error {
	o.settings.Connections = 256
	if err := o.settings.Prepare(1024, "mbserve"); err != nil {
		return err
	}
	defer o.settings.Remove()
	var all []series
	for _, set := range sets {
		fmt.Fprintln(os.Stderr, "measuring", title(set))
		s, err := measure(ctx, o.settings, set)
		if err != nil {
			return fmt.Errorf("%s: %w", title(set), err)
		}
		all = append(all, s)
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, all) })
}

func title(set string) string {
	if set == "" {
		return "the defaults"
	}
	return strings.ReplaceAll(set, ",", ", ")
}

// report writes one table: a row for each moment, two columns for each set.
func report(to io.Writer, all []series) {
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
