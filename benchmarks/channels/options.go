package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
)

type options struct {
	servers     []string
	nchan       string
	subscribers int
	single      int
	burst       int
	size        int
	name        string
	settings    servers.Settings
}

const purpose = `Opens many subscribers of server-sent events at each server in turn, and prints the server's memory
per subscriber, the time until the last one has a message, and how many messages are delivered per second.`

const subscribersMax = 1_000_000

func parseOptions(args []string, errout io.Writer) (options, error) {
	var o options
	flags := program.NewFlags("channels", purpose, &o.settings, errout)
	names := flags.String("servers", "mbserve,nchan", "`list` of servers: mbserve, nchan")
	flags.StringVar(&o.nchan, "nchan", "/usr/lib/nginx/modules/ngx_nchan_module.so", "nginx' module nchan, a `file`")
	flags.IntVar(&o.subscribers, "subscribers", 10000, "subscribers; 20000 from each address of the loopback device")
	flags.IntVar(&o.single, "single", 20, "messages that are published one after the other")
	flags.IntVar(&o.burst, "burst", 100, "messages that are published at once")
	flags.IntVar(&o.size, "size", 100, "bytes of data of a message")
	flags.Report(&o.name, "-")
	flags.Mbserve()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.subscribers < 1 || o.subscribers > subscribersMax:
		return o, fmt.Errorf("-subscribers must be from 1 to %d", subscribersMax)
	case o.single < 1 || o.burst < 1:
		return o, errors.New("-single and -burst must be at least 1")
	case o.size < 1 || o.size > 32<<10:
		return o, errors.New("-size must be from 1 to 32768")
	}
	o.servers = strings.Split(*names, ",")
	for _, name := range o.servers {
		if name != "mbserve" && name != "nchan" {
			return o, fmt.Errorf("-servers: there is no %q", name)
		}
	}
	return o, nil
}
