package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/program"
)

func main() { program.Main("channels", parseOptions, run) }

// observation is what was seen of a server.
type observation struct {
	server        string
	before, after proc.Memory
	times         []time.Duration // until all have a message
	burst         time.Duration   // until all have all messages of a burst
	cpu           time.Duration   // that the server has used meanwhile
}

func run(ctx context.Context, o options) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(o.subscribers)+500 > limit.Max {
		return fmt.Errorf("%d subscribers need more than the %d descriptors that a process may have", o.subscribers, limit.Max)
	}
	var all []observation
	for _, name := range o.servers {
		fmt.Fprintln(os.Stderr, "measuring", name)
		seen, err := observe(ctx, &o, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, seen)
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, &o, limit.Max, all) })
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
	c, err := gather(s.address, o.subscribers)
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
	data := string(mark) + strings.Repeat("x", o.size-1)
	for range o.single + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := spread(s, c, data, 1)
		if err != nil {
			return err
		}
		seen.times = append(seen.times, t)
	}
	seen.times = seen.times[1:] // the first message finds everything cold
	slices.Sort(seen.times)
	before, _ := s.Tree.CPU()
	var err error
	seen.burst, err = spread(s, c, data, o.burst)
	after, _ := s.Tree.CPU()
	seen.cpu = after - before
	return err
}

// spread publishes a message n times, and returns how long it takes until all have them all.
func spread(s *server, c *crowd, data string, n int) (time.Duration, error) {
	want := c.got + n*len(c.fds)
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

func report(to io.Writer, o *options, descriptors uint64, all []observation) {
	fmt.Fprintf(to, "\n%d subscribers of one channel (a process may have %d descriptors), messages of %d bytes\n\n", o.subscribers, descriptors, o.size)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "server\tPSS before MiB\tafter MiB\tbytes/subscriber\tone message reaches all, ms: p50\tp90\tmax\t%d at once: s\tdelivered/s\tserver's CPU s\n", o.burst)
	for _, s := range all {
		ms := func(i int) string { return fmt.Sprintf("%.1f", float64(s.times[i].Microseconds())/1000) }
		n := len(s.times)
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.0f\t%s\t%s\t%s\t%.2f\t%.0f\t%.2f\n", s.server, mebibytes(s.before), mebibytes(s.after),
			float64(int64(s.after.PSS)-int64(s.before.PSS))/float64(o.subscribers), ms(n/2), ms(n*9/10), ms(n-1),
			s.burst.Seconds(), float64(o.subscribers*o.burst)/s.burst.Seconds(), s.cpu.Seconds())
	}
	w.Flush()
}

func mebibytes(m proc.Memory) float64 { return float64(m.PSS) / (1 << 20) }
