package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/stats"
	"moonbridge/benchmarks/internal/wrk"
)

// honest is the number of clients that load hello.
const honest = 64

// situation is a row of the report: honest clients of a server while it, or a floor, publishes at a rate.
type situation struct {
	server string
	rate   int // messages a second

	ratio       []float64 // of the requests in a window to those in the window just before, in which nothing is published
	alone, with []window
}

// window is what was seen of the honest clients for a while.
type window struct {
	perSecond, p99, most       float64
	serving, publishing, loads float64 // cores
}

func runBeside(ctx context.Context, o *options) error {
	all, err := besideAll(ctx, o)
	if err != nil {
		return err
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { reportBeside(to, o, all) })
}

func besideAll(ctx context.Context, o *options) (all []*situation, err error) {
	for _, server := range o.servers {
		for _, rate := range o.rates {
			all = append(all, &situation{server: server, rate: rate})
		}
	}
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		for rows := range slices.Chunk(all, len(o.rates)) {
			if err := besideServer(ctx, o, rows); err != nil {
				return nil, fmt.Errorf("%s: %w", rows[0].server, err)
			}
		}
	}
	return all, nil
}

// besideServer measures the situations of a server in a round.
func besideServer(ctx context.Context, o *options, rows []*situation) error {
	publisher, err := startServer(o, rows[0].server)
	if err != nil {
		return err
	}
	defer publisher.stop()
	hello := publisher
	if isFloor(publisher.name) {
		if hello, err = startServer(o, "mbserve"); err != nil {
			return err
		}
		defer hello.stop()
	}
	c, err := gather(publisher, o)
	if c != nil {
		defer c.close()
	}
	if err != nil {
		return err
	}
	b := &beside{o, hello, publisher, c}
	if _, err := spread(publisher, c, o.message(), 1); err != nil { // it finds everything cold
		return err
	}
	if _, err := b.window(ctx, 0); err != nil { // so do these clients
		return err
	}
	for range o.windows {
		for _, s := range rows {
			alone, err := b.window(ctx, 0)
			if err != nil {
				return err
			}
			with, err := b.window(ctx, s.rate)
			if err != nil {
				return err
			}
			s.ratio = append(s.ratio, with.perSecond/alone.perSecond)
			s.alone, s.with = append(s.alone, alone), append(s.with, with)
		}
	}
	return nil
}

// beside are the servers and subscribers of a round.
type beside struct {
	o                *options
	hello, publisher *server
	c                *crowd
}

// window measures honest clients while messages are published at a rate; 0: none. The subscribers read them afterwards: elsewhere they would
// be on machines of their own.
func (b *beside) window(ctx context.Context, rate int) (w window, err error) {
	serving, publishing := b.hello.used(), b.publisher.used()
	published, n := make(chan error, 1), int(b.o.duration.Seconds()*float64(rate))
	want := b.c.got + n*b.c.size
	go func() { published <- b.publish(n, rate) }()
	load := wrk.Load{URL: "http://" + b.hello.plain + "/hello", Threads: 2, Conns: honest, Duration: b.o.duration}
	result, used, err := load.Run(ctx)
	if err = errors.Join(err, <-published); err != nil {
		return w, err
	}
	if bad := result.BadStatus + result.Errors.Total(); bad > 0 {
		return w, fmt.Errorf("%d honest requests failed", bad)
	}
	cores := func(d time.Duration) float64 { return d.Seconds() / b.o.duration.Seconds() }
	w = window{perSecond: result.PerSecond, p99: milliseconds(result.P99), most: milliseconds(result.Max), loads: cores(used)}
	w.serving, w.publishing = cores(b.hello.used()-serving), cores(b.publisher.used()-publishing)
	return w, b.c.until(func() bool { return b.c.got >= want })
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// publish publishes n messages at a rate, the first after half of the time between two.
func (b *beside) publish(n, rate int) error {
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(float64(time.Second) * (float64(i) + 0.5) / float64(rate)))))
		if err := b.publisher.publish(b.o.message()); err != nil {
			return err
		}
	}
	return nil
}

func reportBeside(to io.Writer, o *options, all []*situation) {
	fmt.Fprintf(to, "\n%d subscribers of one channel%s, messages of %d bytes; %d honest clients of hello, %d rounds of %d windows of %v\n\n",
		o.subscribers, o.by(), o.size, honest, o.rounds, o.windows, o.duration)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\tmessages/s\tdeliveries/s\trequests/s alone\tbeside it\tto alone\tp99 ms alone\tbeside it\tmax ms alone\tbeside it\tcores: hello's server\tpublishing server\twrk")
	for _, s := range all {
		alone := func(of func(window) float64) float64 { return median(s.alone, of) }
		with := func(of func(window) float64) float64 { return median(s.with, of) }
		perSecond, p99, most := func(w window) float64 { return w.perSecond }, func(w window) float64 { return w.p99 }, func(w window) float64 { return w.most }
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%s\t%.2f\n", s.title(), s.rate, s.rate*o.subscribers, alone(perSecond), with(perSecond),
			stats.MeanError(s.ratio), alone(p99), with(p99), alone(most), with(most), with(func(w window) float64 { return w.serving }),
			s.publishing(), with(func(w window) float64 { return w.loads }))
	}
	w.Flush()
	fmt.Fprintln(to, "\nto alone: mean of the windows ± its standard error (smallest–largest), each to the window just before it, without publishing; the others: medians of the windows.",
		"\ncores: CPU time in the windows with publishing. In the rows of floors, mbserve answers, and the floor publishes: a server that publishes cannot take less from it.")
}

func (s *situation) title() string {
	switch {
	case isFloor(s.server):
		return "mbserve beside " + s.server
	case s.server == "nchan":
		return "nginx with Lua and nchan"
	}
	return s.server
}

// publishing are the cores of the server that publishes, if it is not the one of hello.
func (s *situation) publishing() string {
	if !isFloor(s.server) {
		return "the same"
	}
	return fmt.Sprintf("%.2f", median(s.with, func(w window) float64 { return w.publishing }))
}

func median(windows []window, of func(window) float64) float64 {
	values := make([]float64, len(windows))
	for i, w := range windows {
		values[i] = of(w)
	}
	return stats.Quantile(values, 0.5)
}
