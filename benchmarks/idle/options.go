package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
)

type options struct {
	servers  []string
	conns    int
	hold     time.Duration
	samples  int
	protocol protocol
	name     string
	settings servers.Settings
}

const purpose = `Opens many keep-alive connections to each server in turn, leaves them idle, and prints the
server's memory per connection and the latency of new requests, before and during that time.`

const (
	// connsPerAddress leaves some of the 28,000 client ports that an address usually has to the connections that are opened
	// and closed meanwhile. Further idle connections come from further addresses of the loopback device.
	connsPerAddress = 20000
	// connsMax is far above what the open file limit of a usual machine allows.
	connsMax = 100 * connsPerAddress
)

func parseOptions(args []string, errout io.Writer) (options, error) {
	var o options
	s := &o.settings
	flags := program.NewFlags("idle", purpose, s, errout)
	names := flags.String("servers", "mbserve,nginx,nethttp", "`list` of servers: "+strings.Join(servers.Names, ", "))
	flags.IntVar(&o.conns, "conns", 10000, "idle connections; 20000 from each address of the loopback device")
	flags.DurationVar(&o.hold, "hold", 3*time.Second, "how long the connections stay idle before the second measurement")
	flags.IntVar(&o.samples, "samples", 500, "requests for each latency")
	secure := flags.Bool("tls", false, "clients speak TLS")
	h2 := flags.Bool("http2", false, "clients speak HTTP/2, with TLS")
	flags.Report(&o.name, "-")
	flags.Mbserve()
	flags.Options("")
	flags.Nginx()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch o.protocol = plainHTTP; {
	case *h2:
		o.protocol = http2TLS
	case *secure:
		o.protocol = httpTLS
	}
	switch {
	case o.conns < 1 || o.conns > connsMax:
		return o, fmt.Errorf("-conns must be from 1 to %d", connsMax)
	case o.hold < 0:
		return o, errors.New("-hold must not be negative")
	case o.samples < 1:
		return o, errors.New("-samples must be at least 1")
	}
	// The other servers keep idle connections for an hour or forever.
	s.MbserveOptions = append([]string{"http.idle_timeout=3600"}, s.MbserveOptions...)
	var err error
	o.servers, err = servers.SplitNames(*names)
	return o, err
}
