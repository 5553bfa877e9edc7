package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
)

func main() {
	program.Main("http2", parse, run)
}

// options are the flags.
type options struct {
	settings  servers.Settings
	attacks   bool
	attack    string // the only one; "": all
	attackers int
	frames    int // of an attacker in a second
	conns     int
	rounds    int
	duration  time.Duration
	name      string
}

const purpose = `Compares HTTP/2 of mbserve, nginx and net/http, or (-attacks) measures honest clients beside floods.`

func parse(args []string, errout io.Writer) (o options, err error) {
	flags := program.NewFlags("http2", purpose, &o.settings, errout)
	flags.Mbserve()
	flags.Options("")
	flags.Nginx()
	flags.BoolVar(&o.attacks, "attacks", false, "measure honest clients of mbserve beside floods")
	flags.StringVar(&o.attack, "attack", "", "with -attacks: measure only the one with this `name`")
	flags.IntVar(&o.attackers, "attackers", 4, "connections of a flood at a time")
	flags.IntVar(&o.frames, "frames", 2000, "frames, or pairs of them, that an attacker sends in a `second`")
	flags.IntVar(&o.conns, "conns", 8, "connections of h2load")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds")
	flags.DurationVar(&o.duration, "duration", 3*time.Second, "length of a measurement, in whole seconds")
	flags.Report(&o.name, "http2")
	err = flags.Parse(args)
	return o, err
}

func run(ctx context.Context, o options) (err error) {
	if _, err := exec.LookPath("h2load"); err != nil {
		return fmt.Errorf("%w: it is in the package nghttp2-client", err)
	}
	o.settings.Connections = o.conns + o.attackers
	needed := names
	if o.attacks {
		needed = names[:1]
	}
	if err := o.settings.Prepare(1024, needed...); err != nil {
		return err
	}
	defer o.settings.Remove()
	if o.attacks {
		return runAttacks(ctx, o)
	}
	return compare(ctx, o)
}

// row is a combination of what is measured, with the figures of each server for each round.
type row struct {
	path      string
	streams   int
	perSecond [][]float64 // by server
	cpu       [][]float64
	failed    []int
}

// compare measures all servers.
func compare(ctx context.Context, o options) error {
	all, err := startAll(&o.settings)
	defer stopAll(all)
	if err != nil {
		return err
	}
	var rows []*row
	for _, path := range []string{"", "100k"} {
		for _, streams := range []int{1, 10, 100} {
			rows = append(rows, &row{path, streams, make([][]float64, len(all)), make([][]float64, len(all)), make([]int, len(all))})
		}
	}
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		for _, r := range rows {
			for i := range all {
				if err := r.measure(ctx, o, all, (i+round)%len(all)); err != nil {
					return err
				}
			}
		}
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { reportServers(to, o, all, rows) })
}

func (r *row) measure(ctx context.Context, o options, all []*servers.Server, i int) error {
	before, _ := all[i].Tree.CPU()
	res, err := load(ctx, url(all[i], r.path), o.conns, r.streams, o.duration)
	if err != nil {
		return fmt.Errorf("%s: %w", all[i].Name, err)
	}
	after, _ := all[i].Tree.CPU()
	r.perSecond[i] = append(r.perSecond[i], res.perSecond)
	r.cpu[i] = append(r.cpu[i], (after-before).Seconds()*1e6/float64(max(1, res.succeeded)))
	r.failed[i] += res.failed
	return nil
}

func reportServers(to io.Writer, o options, all []*servers.Server, rows []*row) {
	for _, f := range machine.Facts(o.settings.Benchmarks) {
		fmt.Fprintf(to, "%s: %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\nHTTP/2 with TLS, h2load with %d connections, %d rounds of %v\n\n", o.conns, o.rounds, o.duration)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "request\tstreams\tserver\trequests/s\tmbserve to it\tCPU µs/req\tmbserve's to it\tfailed\t")
	for _, r := range rows {
		for i, s := range all {
			fmt.Fprintf(w, "/%s\t%d\t%s\t%s\t%s\t%.1f\t%.2f\t%d\t\n", r.path, r.streams, s.Name, stats.Summarise(r.perSecond[i]).Spread("%.0f"),
				stats.Summarise(stats.Ratios(r.perSecond[0], r.perSecond[i])).Spread("%.2f"), stats.Quantile(r.cpu[i], 0.5),
				stats.Quantile(stats.Ratios(r.cpu[0], r.cpu[i]), 0.5), r.failed[i])
		}
	}
	w.Flush()
	fmt.Fprintln(to, "\nmedian (smallest–largest) of the rounds; ratios within a round. CPU is of all processes of the server.")
}

// result is what h2load says.
type result struct {
	perSecond         float64
	succeeded, failed int
}

// load runs h2load.
func load(ctx context.Context, url string, conns, streams int, d time.Duration) (r result, err error) {
	seconds := strconv.Itoa(max(1, int(d/time.Second)))
	out, err := exec.CommandContext(ctx, "h2load", "-D", seconds, "-c", strconv.Itoa(conns), "-m", strconv.Itoa(streams), url).CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	return parseLoad(string(out))
}

// parseLoad takes the figures from the output of h2load.
func parseLoad(out string) (r result, err error) {
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, "finished in "); ok {
			var took string
			fmt.Sscanf(text, "%s %f req/s", &took, &r.perSecond)
		}
		if text, ok := strings.CutPrefix(line, "requests: "); ok {
			var total, started, done int
			fmt.Sscanf(text, "%d total, %d started, %d done, %d succeeded, %d failed", &total, &started, &done, &r.succeeded, &r.failed)
		}
	}
	if r.succeeded == 0 {
		return r, fmt.Errorf("no request of h2load has succeeded:\n%s", out)
	}
	return r, nil
}
