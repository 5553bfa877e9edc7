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
	"syscall"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/servers"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	files, err := servers.RaiseFiles(o.conns + 2048)
	if err != nil {
		return err
	}
	o.settings.Files, o.settings.Connections = files, o.conns+64
	temp, err := os.MkdirTemp("", "moonbridge-idle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	o.settings.Temp = temp
	if err := o.settings.Check(o.servers); err != nil {
		return err
	}
	var all []observation
	for _, name := range o.servers {
		fmt.Fprintln(os.Stderr, "measuring", name)
		seen, err := observe(ctx, o, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, seen)
	}
	if o.name == "" {
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

func report(to io.Writer, o options, all []observation) {
	fmt.Fprintf(to, "date    %s\n", time.Now().Format("2006-01-02 15:04:05 -0700"))
	for _, f := range machine.Facts(o.settings.Benchmarks) {
		fmt.Fprintf(to, "%s  %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\n%d connections, left idle for %v; latencies over %d successive requests\n\n", o.conns, o.hold, o.samples)
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
