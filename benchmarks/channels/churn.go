package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/program"
)

// parts is how often the memory is looked at while subscribers come and go.
const parts = 10

// churned is what many short subscriptions have left of a server.
type churned struct {
	server string
	memory [parts + 1]float64 // MiB, PSS, before and after each part
	took   time.Duration
}

func runChurn(ctx context.Context, o *options) error {
	var all []churned
	for _, name := range o.servers {
		fmt.Fprintln(os.Stderr, "measuring", name)
		seen, err := churn(ctx, o, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, seen)
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { reportChurn(to, o, all) })
}

// churn has subscribers come and go. The memory is that without any.
func churn(ctx context.Context, o *options, name string) (seen churned, err error) {
	seen.server = name
	s, err := startServer(o, name)
	if err != nil {
		return seen, err
	}
	defer s.stop()
	c, err := newCrowd(s, o)
	if err != nil {
		return seen, err
	}
	defer c.close()
	if seen.memory[0], err = restingMemory(ctx, s); err != nil {
		return seen, err
	}
	each := max(1, o.churn/parts)
	for part := range parts {
		began := time.Now()
		if err := c.comeAndGo(ctx, part*each, each, o.subscribers); err != nil {
			return seen, fmt.Errorf("%w\n%s", err, s.logged())
		}
		seen.took += time.Since(began)
		if seen.memory[part+1], err = restingMemory(ctx, s); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// comeAndGo opens n subscribers, so many at a time: when all of these have the head of their response, all go.
func (c *crowd) comeAndGo(ctx context.Context, from, n, most int) error {
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := min(n, most)
		if err := c.add(from, now); err != nil {
			return err
		}
		for _, fd := range c.fds {
			leave(fd)
		}
		c.fds = c.fds[:0]
		from, n = from+now, n-now
	}
	return nil
}

// restingMemory is the memory of a server that has had a second to let go of subscribers.
func restingMemory(ctx context.Context, s *server) (float64, error) {
	if err := program.Sleep(ctx, time.Second); err != nil {
		return 0, err
	}
	m, err := s.Tree.Memory()
	return float64(m.PSS) / (1 << 20), err
}

func reportChurn(to io.Writer, o *options, all []churned) {
	fmt.Fprintf(to, "\n%d subscribers%s that come and go, %d at a time: PSS of the server in MiB at first, and without subscribers after each tenth\n\n", o.churn, o.by(), o.subscribers)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, s := range all {
		fmt.Fprintf(w, "%s\t", s.server)
		for _, m := range s.memory {
			fmt.Fprintf(w, "%.1f\t", m)
		}
		fmt.Fprintf(w, " %.0f subscribers/s\t\n", float64(o.churn)/s.took.Seconds())
	}
	w.Flush()
}
