package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
)

func main() { program.Main("channels", parseOptions, run) }

// spare are descriptors for other things than subscribers.
const spare = 500

func run(ctx context.Context, o options) error {
	if err := o.settings.Prepare(o.subscribers/max(1, o.streams)+spare, o.needs()...); err != nil {
		return err
	}
	defer o.settings.Remove()
	if o.beside {
		return runBeside(ctx, &o)
	}
	if o.churn > 0 {
		return runChurn(ctx, &o)
	}
	all := make([][]observation, len(o.servers)) // of the rounds
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		for i, name := range o.servers {
			seen, err := observe(ctx, &o, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all[i] = append(all[i], seen)
		}
	}
	return program.Report(o.settings.Benchmarks, o.name, func(to io.Writer) { report(to, &o, all) })
}

// needs are what servers.Settings.Prepare checks and builds.
func (o *options) needs() (names []string) {
	for _, name := range o.servers {
		switch name {
		case "mbserve":
			names = append(names, name)
		case "nchan":
			names = append(names, "nginx")
		default:
			names = append(names, servers.Floor)
		}
	}
	return names
}
