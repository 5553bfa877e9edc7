package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

// options is the command line.
type options struct {
	servers   []string
	workloads []servers.Workload
	conns     []int
	rounds    int
	duration  time.Duration
	warmup    time.Duration
	threads   int
	name      string
	out       string
	note      string
	settings  servers.Settings
}

const usage = `usage: compare [flags]

Loads HTTP servers with equivalent handlers in turn, with wrk on the same machine, and writes
requests per second, latency and CPU time per request to a text file in benchmarks/results.

flags:
`

// parseOptions parses the command line without the program name.
func parseOptions(args []string, errout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(errout)
	flags.Usage = func() {
		fmt.Fprint(errout, usage)
		flags.PrintDefaults()
		fmt.Fprintln(errout, "\nworkloads:")
		for _, w := range servers.Workloads {
			fmt.Fprintf(errout, "  %-10s%s\n", w.Name, w.Purpose)
		}
	}
	s := &o.settings
	names := flags.String("servers", strings.Join(servers.Names, ","), "`list` of servers")
	workloads := flags.String("workload", "hello", "`list` of workloads, or all")
	conns := flags.String("conns", "1,16,64,256,1024", "`list` of numbers of connections")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; medians are taken over them")
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "length of a run, in whole seconds")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "load before each run that is not counted, in whole seconds; 0 for none")
	flags.IntVar(&o.threads, "threads", 2, "threads of wrk")
	flags.StringVar(&o.name, "name", "", "`name` of the result file after the date (default: the workloads)")
	flags.StringVar(&o.out, "out", "", "`folder` of the result file (default: benchmarks/results); - for none")
	flags.StringVar(&o.note, "note", "", "`text` to include in the result file")
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	flags.StringVar(&s.Mbserve, "mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	mbFlags := flags.String("mbserve-flags", "", "further command line `arguments` for mbserve, separated by blanks")
	mbOptions := flags.String("mbserve-options", "", "options for listen{} as a `list` such as min_fork=2,max_fork=16,http.idle_timeout=30")
	flags.StringVar(&s.NginxModules, "nginx-modules", "/usr/lib/nginx/modules", "`folder` of nginx' modules")
	flags.IntVar(&s.NginxWorkers, "nginx-workers", 0, "worker processes of nginx; 0: one for each core")
	flags.BoolVar(&s.NginxReuseport, "nginx-reuseport", false, "give each worker of nginx its own listening socket")
	flags.BoolVar(&s.NginxAffinity, "nginx-affinity", false, "pin the workers of nginx to cores")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if o.servers, err = servers.SplitNames(*names); err != nil {
		return o, err
	}
	if o.workloads, err = splitWorkloads(*workloads); err != nil {
		return o, err
	}
	if o.conns, err = splitConns(*conns); err != nil {
		return o, err
	}
	s.MbserveFlags = strings.Fields(*mbFlags)
	if *mbOptions != "" {
		s.MbserveOptions = strings.Split(*mbOptions, ",")
	}
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.findPaths(*dir)
}

func (o *options) check() error {
	switch {
	case o.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case o.duration < time.Second || o.duration%time.Second != 0:
		return errors.New("-duration must be whole seconds")
	case o.warmup < 0 || o.warmup%time.Second != 0:
		return errors.New("-warmup must be whole seconds")
	case o.threads < 1:
		return errors.New("-threads must be at least 1")
	case strings.ContainsAny(o.name, "/\x00"):
		return errors.New("-name must not be a path")
	}
	if o.name == "" {
		var names []string
		for _, w := range o.workloads {
			names = append(names, w.Name)
		}
		o.name = strings.Join(names, "+")
	}
	return nil
}

// findPaths fills in missing paths and makes all paths absolute.
func (o *options) findPaths(dir string) error {
	benchmarks, err := servers.FindBenchmarks(dir)
	if err != nil {
		return err
	}
	o.settings.Benchmarks = benchmarks
	if o.settings.Mbserve == "" {
		o.settings.Mbserve = filepath.Join(benchmarks, "..", "bin", "mbserve")
	}
	if o.settings.Mbserve, err = filepath.Abs(o.settings.Mbserve); err != nil {
		return err
	}
	switch o.out {
	case "":
		o.out = filepath.Join(benchmarks, "results")
		return os.MkdirAll(o.out, 0o755)
	case "-":
		return nil
	}
	if info, err := os.Stat(o.out); err != nil || !info.IsDir() {
		return fmt.Errorf("-out %s is not a folder", o.out)
	}
	return nil
}

func splitWorkloads(list string) ([]servers.Workload, error) {
	if list == "all" {
		return servers.Workloads, nil
	}
	var out []servers.Workload
	for name := range strings.SplitSeq(list, ",") {
		w, err := servers.FindWorkload(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func splitConns(list string) ([]int, error) {
	// wrk connects from one address to one port, so the range of client ports is the limit.
	const connsMax = 28000
	var out []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > connsMax {
			return nil, fmt.Errorf("-conns: %q is not a number from 1 to %d", text, connsMax)
		}
		out = append(out, n)
	}
	return out, nil
}
