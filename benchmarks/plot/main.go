package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// run draws what the arguments ask for.
func run(args []string, out, errout io.Writer) error {
	flags := flag.NewFlagSet("plot", flag.ContinueOnError)
	flags.SetOutput(errout)
	flags.Usage = func() {
		fmt.Fprint(errout, "usage: plot [flags] RESULT >PICTURE.svg\n\nDraws throughput and latency against connections from a result of compare.\n\nflags:\n")
		flags.PrintDefaults()
	}
	flags.String("dir", "", "not used; run.sh gives it to every program")
	workload := flags.String("workload", "", "the `name` of the workload, if the result has several")
	servers := flags.String("servers", "", "`list` of servers (default: all of the result)")
	title := flags.String("title", "", "`text` above the diagrams (default: the workload)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one result file")
	}
	file, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	picture, err := picture(string(file), filepath.Base(flags.Arg(0)), *workload, *servers, *title)
	if err != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	_, err = io.WriteString(out, picture)
	return err
}

// picture returns the picture of a workload of a result.
func picture(file, name, workload, servers, title string) (string, error) {
	all, err := parse(file)
	if err != nil {
		return "", err
	}
	r, err := find(all, workload)
	if err != nil {
		return "", err
	}
	var names []string
	if servers != "" {
		names = strings.Split(servers, ",")
	}
	throughput, err := r.lines(names, func(r turn) float64 { return r.perSecond })
	if err != nil {
		return "", err
	}
	latency, err := r.lines(names, func(r turn) float64 { return r.p99 })
	if err != nil {
		return "", err
	}
	if title == "" {
		title = r.workload
	}
	return draw(title, "medians of the rounds, with bars from the smallest to the largest; from "+name, throughput, latency), nil
}
