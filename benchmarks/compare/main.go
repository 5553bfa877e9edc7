package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"moonbridge/benchmarks/internal/program"
)

func main() { program.Main("compare", parseOptions, run) }

// run runs the whole comparison. Measurements made before an error or a signal are still written.
func run(ctx context.Context, o options) (err error) {
	if _, err := exec.LookPath("wrk"); err != nil && !o.lean {
		return fmt.Errorf("%w; benchmarks/install.sh installs it", err)
	}
	most := o.connsMost()
	o.settings.Connections = most
	// A connection is one file in wrk and one in the server; the rest is for a server's other files.
	if err := o.settings.Prepare(most+2048, o.serversUsed()...); err != nil {
		return err
	}
	defer o.settings.Remove()
	results := make([]workloadResult, 0, len(o.workloads))
	for _, w := range o.workloads {
		b := bench{options: o, workload: w, progress: os.Stderr}
		err = b.run(ctx)
		if len(b.result.runs) > 0 {
			results = append(results, b.result)
		}
		if err != nil {
			break
		}
	}
	if len(results) == 0 {
		return err
	}
	text := report(o, collectFacts(o, results), results, err)
	fmt.Print(text)
	if o.out == "-" {
		return err
	}
	path, writeErr := writeResult(o.out, o.name, text)
	if writeErr == nil {
		fmt.Fprintln(os.Stderr, "written to", path)
	}
	return errors.Join(err, writeErr)
}
