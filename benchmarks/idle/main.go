package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"moonbridge/benchmarks/internal/program"
)

func main() { program.Main("idle", parseOptions, run) }

func run(ctx context.Context, o options) error {
	o.settings.Connections = o.conns + 64
	if err := o.settings.Prepare(o.conns+2048, o.servers...); err != nil {
		return err
	}
	defer o.settings.Remove()
	var all []observation
	for _, name := range o.servers {
		fmt.Fprintln(os.Stderr, "measuring", name)
		seen, err := observe(ctx, o, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, seen)
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, o, all) })
}

func report(to io.Writer, o options, all []observation) {
	fmt.Fprintf(to, "\n%d connections (%s), left idle for %v; latencies over %d successive requests\n\n", o.conns, o.protocol, o.hold, o.samples)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "memory\tprocesses\tRSS before MiB\tRSS after MiB\tbytes/conn\tPSS before MiB\tPSS after MiB\tbytes/conn\tclosed by server\tCPU while idle")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.0f\t%s\t%s\t%.0f\t%d\t%.1f %%\n", s.server, s.processes,
			mebibytes(s.before.RSS), mebibytes(s.after.RSS), s.perConn(s.before.RSS, s.after.RSS),
			mebibytes(s.before.PSS), mebibytes(s.after.PSS), s.perConn(s.before.PSS, s.after.PSS), s.closed, 100*s.idleCPU)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "latency in µs\tnew conn, before: p50\tp99\tduring: p50\tp99\tan idle conn wakes up: p50\tp99")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.server, micros(s.freshBefore, 0.5), micros(s.freshBefore, 0.99),
			micros(s.fresh, 0.5), micros(s.fresh, 0.99), micros(s.awake, 0.5), micros(s.awake, 0.99))
	}
	w.Flush()
}
