package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
)

// options is the command line.
type options struct {
	servers   []string
	workloads []servers.Workload
	conns     []int // nil for those of each workload
	rounds    int
	duration  time.Duration
	warmup    time.Duration
	threads   int
	lean      bool
	hogs      int
	name      string
	out       string
	note      string
	settings  servers.Settings
}

const purpose = `Loads HTTP servers with equivalent handlers in turn, with wrk on the same machine, and writes
requests per second, latency and CPU time per request to a text file in benchmarks/results.`

// parseOptions parses the command line without the program name.
func parseOptions(args []string, errout io.Writer) (options, error) {
	var o options
	s := &o.settings
	flags := program.NewFlags("compare", purpose, s, errout)
	usage := flags.Usage
	flags.Usage = func() {
		usage()
		fmt.Fprintln(errout, "\nworkloads:")
		for _, w := range servers.Workloads {
			fmt.Fprintf(errout, "  %-12s%s\n", w.Name, w.Purpose)
		}
	}
	names := flags.String("servers", strings.Join(servers.Names, ","), "`list` of servers; each workload takes those that have it")
	workloads := flags.String("workload", "hello", "`list` of workloads, or all")
	conns := flags.String("conns", "", "`list` of numbers of connections (default: those of each workload)")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; medians are taken over them")
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "length of a run, in whole seconds")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "load before each run that is not counted, in whole seconds; 0 for none")
	flags.IntVar(&o.threads, "threads", 2, "threads of wrk")
	flags.BoolVar(&o.lean, "lean", false, "load with peers/lean, which costs less than wrk, instead; for workloads with a GET without TLS only")
	setting := flags.String("setting", string(servers.Apart), "what servers share: apart (each in a session of its own), together "+
		"(one session, also with wrk), cgroup (each in a session and a cpu cgroup of its own), core (each has the first core, and "+
		"what loads it has the others)")
	flags.IntVar(&o.hogs, "hogs", 0, "number of busy loops beside the measurements, pinned to one core after the other")
	flags.StringVar(&o.name, "name", "", "`name` of the result file after the date (default: the workloads)")
	flags.StringVar(&o.out, "out", "", "`folder` of the result file (default: benchmarks/results); - for none")
	flags.StringVar(&o.note, "note", "", "`text` to include in the result file")
	flags.Mbserve()
	flags.Options("")
	flags.Nginx()
	flags.BoolVar(&s.NginxReuseport, "nginx-reuseport", false, "give each worker of nginx its own listening socket")
	flags.BoolVar(&s.NginxAffinity, "nginx-affinity", false, "pin the workers of nginx to cores")
	flags.BoolVar(&s.NginxNoSendfile, "nginx-no-sendfile", false, "let nginx read static and cached files into its own buffers")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.servers, err = servers.SplitNames(*names); err != nil {
		return o, err
	}
	if o.workloads, err = splitWorkloads(*workloads); err != nil {
		return o, err
	}
	if *conns != "" {
		if o.conns, err = splitConns(*conns); err != nil {
			return o, err
		}
	}
	if s.Setting, err = servers.ParseSetting(*setting); err != nil {
		return o, err
	}
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.findOut()
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
	case o.hogs < 0 || o.hogs > hogsMax:
		return fmt.Errorf("-hogs must be from 0 to %d", hogsMax)
	case strings.ContainsAny(o.name, "/\x00"):
		return errors.New("-name must not be a path")
	}
	if o.name == "" {
		var names []string
		for _, w := range o.workloads {
			names = append(names, w.Name)
		}
		o.name = strings.Join(names, "+")
		if len(names) == len(servers.Workloads) {
			o.name = "all"
		}
	}
	for _, w := range o.workloads {
		if o.lean && !w.Plain() {
			return fmt.Errorf("-lean: the workload %s is more than a GET without TLS", w.Name)
		}
		if len(o.serversOf(w)) == 0 {
			return fmt.Errorf("none of the servers %s has the workload %s", strings.Join(o.servers, ", "), w.Name)
		}
	}
	return nil
}

// hogsMax is more than any machine needs to be busy.
const hogsMax = 1024

// serversOf returns the chosen servers that have the workload.
func (o *options) serversOf(w servers.Workload) (names []string) {
	for _, name := range o.servers {
		if w.Has(name) {
			names = append(names, name)
		}
	}
	return names
}

// serversUsed returns the chosen servers that have one of the workloads, the upstreams of these, and Lean if it loads them.
func (o *options) serversUsed() (names []string) {
	for _, name := range o.servers {
		if slices.ContainsFunc(o.workloads, func(w servers.Workload) bool { return w.Has(name) }) {
			names = append(names, name)
		}
	}
	for _, w := range o.workloads {
		if name := w.Upstream(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if o.lean {
		names = append(names, servers.Lean)
	}
	return names
}

// connsOf returns the numbers of connections for a workload.
func (o *options) connsOf(w servers.Workload) []int {
	if o.conns != nil {
		return o.conns
	}
	return w.Conns
}

// connsMost returns the largest number of connections that a server must hold.
func (o *options) connsMost() (most int) {
	for _, w := range o.workloads {
		n := slices.Max(o.connsOf(w))
		if w.Beside != "" {
			n += servers.BesideConns
		}
		most = max(most, n)
	}
	return most
}

// findOut makes or checks the folder of the result file.
func (o *options) findOut() error {
	switch o.out {
	case "":
		o.out = filepath.Join(o.settings.Benchmarks, "results")
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
