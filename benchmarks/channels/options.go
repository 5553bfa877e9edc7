package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
)

type options struct {
	servers     []string
	nchan       string
	centrifugo  string
	subscribers int
	rounds      int
	webSockets  bool
	streams     int
	churn       int
	beside      bool
	rates       []int // messages a second, with beside
	windows     int
	duration    time.Duration
	single      int
	burst       int
	size        int
	name        string
	settings    servers.Settings
}

const purpose = `Opens many subscribers of server-sent events at each server in turn, and prints the server's memory
per subscriber, the time until the last one has a message, and how many messages are delivered per second. With
-beside it measures instead what publishing leaves to honest clients of the same server, with -churn what memory many
short subscriptions leave.`

// streamsMax is what mbserve allows a connection.
const subscribersMax, ratesMax, streamsMax = 1_000_000, 1000, 128

var serverNames = []string{"mbserve", "nchan", centrifugo, "floor1", "floor2"}

func parseOptions(args []string, errout io.Writer) (options, error) {
	var o options
	flags := program.NewFlags("channels", purpose, &o.settings, errout)
	names := flags.String("servers", "mbserve,nchan,floor1,floor2", "`list` of servers: mbserve, nchan, centrifugo (by server-sent events over HTTP/1.1 only), floor1 and floor2 (1 and 2 threads that do nothing but send)")
	flags.StringVar(&o.centrifugo, "centrifugo", "centrifugo", "the program Centrifugo, version 6, a `file` or a name")
	flags.StringVar(&o.nchan, "nchan", "/usr/lib/nginx/modules/ngx_nchan_module.so", "nginx' module nchan, a `file`")
	flags.IntVar(&o.subscribers, "subscribers", 10000, "subscribers; 5000 from each address of the loopback device")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; the servers take turns")
	flags.IntVar(&o.single, "single", 20, "messages that are published one after the other")
	flags.IntVar(&o.burst, "burst", 100, "messages that are published at once")
	flags.IntVar(&o.size, "size", 100, "bytes of data of a message")
	flags.BoolVar(&o.webSockets, "websockets", false, "the subscribers are WebSockets; floors have none")
	flags.IntVar(&o.streams, "streams", 0, "subscribers on each connection, which is one of HTTP/2; floors have none, and nchan no WebSockets")
	flags.IntVar(&o.churn, "churn", 0, "have so many subscribers come and go, -subscribers of them at a time, and see what memory that leaves, instead")
	flags.BoolVar(&o.beside, "beside", false, "measure honest clients alone and while messages are published, instead")
	rates := flags.String("rates", "1,5", "`list` of messages a second, with -beside")
	flags.IntVar(&o.windows, "windows", 4, "windows of a round for each rate, with -beside")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "length of a window, with -beside")
	flags.Report(&o.name, "-")
	flags.Mbserve()
	flags.Nginx()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.subscribers < 1 || o.subscribers > subscribersMax:
		return o, fmt.Errorf("-subscribers must be from 1 to %d", subscribersMax)
	case o.rounds < 1 || o.single < 1 || o.burst < 1:
		return o, errors.New("-rounds, -single and -burst must be at least 1")
	case o.streams < 0 || o.streams > streamsMax:
		return o, fmt.Errorf("-streams must be from 0 to %d", streamsMax)
	case o.churn < 0:
		return o, errors.New("-churn must not be negative")
	case o.windows < 1 || o.duration < time.Second || o.duration%time.Second != 0:
		return o, errors.New("-windows must be at least 1, and -duration whole seconds")
	case o.size < len(letter) || o.size > 32<<10:
		return o, fmt.Errorf("-size must be from %d to 32768", len(letter))
	}
	o.servers = strings.Split(*names, ",")
	for _, name := range o.servers {
		if !slices.Contains(serverNames, name) || (o.webSockets || o.streams > 0 || o.beside) && name == centrifugo || o.webSockets && isFloor(name) || o.streams > 0 && (isFloor(name) || o.webSockets && name != "mbserve") {
			return o, fmt.Errorf("-servers: there is no %q, or not with these options", name)
		}
	}
	for text := range strings.SplitSeq(*rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 || rate > ratesMax {
			return o, fmt.Errorf("-rates: %q is not from 1 to %d", text, ratesMax)
		}
		o.rates = append(o.rates, rate)
	}
	return o, nil
}
