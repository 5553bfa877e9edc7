package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

type options struct {
	servers  []string
	conns    int
	hold     time.Duration
	samples  int
	name     string
	settings servers.Settings
}

const usage = `usage: idle [flags]

Opens many keep-alive connections to each server in turn, leaves them idle, and prints the
server's memory per connection and the latency of new requests, before and during that time.

flags:
`

const (
	// connsPerAddress leaves some of the 28,000 client ports that an address usually has to the connections that are opened
	// and closed meanwhile. Further idle connections come from further addresses of the loopback device.
	connsPerAddress = 20000
	// connsMax is far above what the open file limit of a usual machine allows.
	connsMax = 100 * connsPerAddress
)

func parseOptions(args []string, errout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("idle", flag.ContinueOnError)
	flags.SetOutput(errout)
	flags.Usage = func() {
		fmt.Fprint(errout, usage)
		flags.PrintDefaults()
	}
	s := &o.settings
	names := flags.String("servers", "mbserve,nginx,nethttp", "`list` of servers: "+strings.Join(servers.Names, ", "))
	flags.IntVar(&o.conns, "conns", 10000, "idle connections; 20000 from each address of the loopback device")
	flags.DurationVar(&o.hold, "hold", 3*time.Second, "how long the connections stay idle before the second measurement")
	flags.IntVar(&o.samples, "samples", 500, "requests for each latency")
	flags.StringVar(&o.name, "name", "", "keep the report as results/<date>-`name`.txt too")
	dir := flags.String("dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	flags.StringVar(&s.Mbserve, "mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	mbFlags := flags.String("mbserve-flags", "", "further command line `arguments` for mbserve, separated by blanks")
	mbOptions := flags.String("mbserve-options", "", "options for listen{} as a `list` such as min_fork=2,max_fork=16")
	flags.StringVar(&s.NginxModules, "nginx-modules", "/usr/lib/nginx/modules", "`folder` of nginx' modules")
	flags.IntVar(&s.NginxWorkers, "nginx-workers", 0, "worker processes of nginx; 0: one for each core")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.conns < 1 || o.conns > connsMax:
		return o, fmt.Errorf("-conns must be from 1 to %d", connsMax)
	case o.hold < 0:
		return o, errors.New("-hold must not be negative")
	case strings.ContainsAny(o.name, "/\x00"):
		return o, errors.New("-name must not be a path")
	case o.samples < 1:
		return o, errors.New("-samples must be at least 1")
	}
	var err error
	if o.servers, err = servers.SplitNames(*names); err != nil {
		return o, err
	}
	if s.Benchmarks, err = servers.FindBenchmarks(*dir); err != nil {
		return o, err
	}
	if s.Mbserve == "" {
		s.Mbserve = filepath.Join(s.Benchmarks, "..", "bin", "mbserve")
	}
	if s.Mbserve, err = filepath.Abs(s.Mbserve); err != nil {
		return o, err
	}
	s.MbserveFlags = strings.Fields(*mbFlags)
	// The other servers keep idle connections for an hour or forever.
	s.MbserveOptions = []string{"http.idle_timeout=3600"}
	if *mbOptions != "" {
		s.MbserveOptions = append(s.MbserveOptions, strings.Split(*mbOptions, ",")...)
	}
	return o, nil
}
