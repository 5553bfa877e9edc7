package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/stats"
)

// observation is what was seen of a server in a round.
type observation struct {
	server        string
	before, after proc.Memory
	times         []float64 // milliseconds until all have a message
	cpu, reading  float64   // microseconds that the server, and the subscribers, have used for one of these, for each subscriber
	burst         float64   // seconds until all have all messages of a burst
	burstCPU      float64   // seconds that the server has used meanwhile
}

func observe(ctx context.Context, o *options, name string) (seen observation, err error) {
	seen.server = name
	s, err := startServer(o, name)
	if err != nil {
		return seen, err
	}
	defer s.stop()
	if err := program.Sleep(ctx, time.Second); err != nil {
		return seen, err
	}
	if seen.before, err = s.Tree.Memory(); err != nil {
		return seen, err
	}
	c, err := gather(s, o)
	if c != nil {
		defer c.close()
	}
	if err != nil {
		return seen, err
	}
	if err := program.Sleep(ctx, time.Second); err != nil {
		return seen, err
	}
	if seen.after, err = s.Tree.Memory(); err != nil {
		return seen, err
	}
	return seen, seen.publish(ctx, o, s, c)
}

// publish publishes messages one after the other, then many at once.
func (seen *observation) publish(ctx context.Context, o *options, s *server, c *crowd) error {
	data := o.message()
	if _, err := spread(s, c, data, 1); err != nil { // it finds everything cold
		return err
	}
	server, subscribers := s.used(), selfCPU()
	for range o.single {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := spread(s, c, data, 1)
		if err != nil {
			return err
		}
		seen.times = append(seen.times, t.Seconds()*1e3)
	}
	each := 1e6 / float64(o.single*o.subscribers)
	seen.reading = each * (selfCPU() - subscribers).Seconds()
	server, before := s.used()-server, s.used()
	seen.cpu = each * server.Seconds()
	t, err := spread(s, c, data, o.burst)
	seen.burst, seen.burstCPU = t.Seconds(), (s.used() - before).Seconds()
	return err
}

// by says what the subscribers are, if they are not event streams over HTTP/1.1.
func (o *options) by() (text string) {
	if o.webSockets {
		text = " by WebSocket"
	}
	if o.streams > 0 {
		text += fmt.Sprintf(" over HTTP/2, %d on a connection", o.streams)
	}
	return text
}

// message is the data of a message.
func (o *options) message() string { return letter + strings.Repeat("x", o.size-len(letter)) }

// spread publishes a message n times, and returns how long it takes until all have them all.
func spread(s *server, c *crowd, data string, n int) (time.Duration, error) {
	want := c.got + n*c.size
	published := make(chan error, 1)
	began := time.Now()
	go func() {
		for range n {
			if err := s.publish(data); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	if err := c.until(func() bool { return c.got >= want }); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if c.got > want {
		return 0, fmt.Errorf("%d messages too many", c.got-want)
	}
	return took, <-published
}

func report(to io.Writer, o *options, all [][]observation) {
	fmt.Fprintf(to, "\n%d subscribers of one channel%s (a process may have %d descriptors), messages of %d bytes, %d rounds of %d messages one after the other, and %d at once\n\n",
		o.subscribers, o.by(), o.settings.Files, o.size, o.rounds, o.single, o.burst)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\tPSS before MiB\tafter MiB\tbytes/subscriber\tone message reaches all, ms: min\tp50\tp90\tmax\tto nchan\tCPU µs for each: server\tsubscribers\tat once: s\tdelivered/s\tserver's CPU s")
	for _, rounds := range all {
		o.reportServer(w, rounds, medians(all))
	}
	w.Flush()
	fmt.Fprintln(to, "\nto nchan: the median of a round to that of the same round of nchan, smaller is better: mean ± its standard error (smallest–largest).",
		"\nThe other columns: medians of the rounds, and all messages of all rounds together.")
}

// medians are those of the times of nchan in each round; nil: it was not measured.
func medians(all [][]observation) (each []float64) {
	for _, rounds := range all {
		for _, s := range rounds {
			if s.server == "nchan" {
				each = append(each, stats.Quantile(s.times, 0.5))
			}
		}
	}
	return each
}

func (o *options) reportServer(to io.Writer, rounds []observation, nchan []float64) {
	var times, mids []float64
	for _, s := range rounds {
		times, mids = append(times, s.times...), append(mids, stats.Quantile(s.times, 0.5))
	}
	median := func(of func(observation) float64) float64 {
		var values []float64
		for _, s := range rounds {
			values = append(values, of(s))
		}
		return stats.Quantile(values, 0.5)
	}
	before := median(func(s observation) float64 { return float64(s.before.PSS) })
	after := median(func(s observation) float64 { return float64(s.after.PSS) })
	burst := median(func(s observation) float64 { return s.burst })
	ratio := "-"
	if len(nchan) > 0 {
		ratio = stats.MeanError(stats.Ratios(mids, nchan))
	}
	fmt.Fprintf(to, "%s\t%.1f\t%.1f\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\n", rounds[0].server, before/(1<<20), after/(1<<20),
		(after-before)/float64(o.subscribers), stats.Quantile(times, 0), stats.Quantile(times, 0.5), stats.Quantile(times, 0.9), stats.Quantile(times, 1), ratio,
		median(func(s observation) float64 { return s.cpu }), median(func(s observation) float64 { return s.reading }),
		burst, float64(o.subscribers*o.burst)/burst, median(func(s observation) float64 { return s.burstCPU }))
}
