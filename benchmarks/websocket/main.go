package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"moonbridge/handler/websocket/wstest"
)

type options struct {
	connections, size, pipeline, rounds int
	duration                            time.Duration
	cases                               bool
	count, most                         int
	targets                             []target
}

type target struct {
	name string
	url  *url.URL
}

func (t target) dial() (net.Conn, error) { return net.Dial("tcp", t.url.Host) }

func main() {
	var o options
	seconds := flag.Float64("seconds", 2, "of a round")
	flag.IntVar(&o.connections, "connections", 64, "at the same time")
	flag.IntVar(&o.size, "size", 32, "bytes of a message")
	flag.IntVar(&o.pipeline, "pipeline", 1, "messages of a connection on their way")
	flag.IntVar(&o.rounds, "rounds", 3, "for each server")
	flag.BoolVar(&o.cases, "cases", false, "run the cases of Autobahn's suite")
	flag.IntVar(&o.count, "count", 20, "messages of a case of the chapters 9.7, 9.8, 12 and 13")
	flag.IntVar(&o.most, "most", 1<<20, "bytes of the largest message of the cases")
	flag.Parse()
	o.duration = time.Duration(*seconds * float64(time.Second))
	for _, arg := range flag.Args() {
		name, text, _ := strings.Cut(arg, "=")
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			fmt.Fprintf(os.Stderr, "%q is not name=ws://host:port/path\n", arg)
			os.Exit(2)
		}
		o.targets = append(o.targets, target{name, u})
	}
	run := measure
	if o.cases {
		run = conformance
	}
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// conformance reports which cases each server passes.
func conformance(o *options) error {
	for _, t := range o.targets {
		passed, skipped, unclean := map[string]int{}, map[string]int{}, map[string]int{}
		total := map[string]int{}
		var failed []string
		for _, k := range wstest.Cases(o.count, o.most) {
			chapter, _, _ := strings.Cut(k.ID, ".")
			total[chapter]++
			var f wstest.Failure
			switch err := k.Run(t.dial, t.url.RequestURI()); {
			case err == nil:
				passed[chapter]++
			case errors.Is(err, wstest.ErrNotOffered):
				skipped[chapter]++
			case errors.As(err, &f) && f.Unclean:
				unclean[chapter]++
			default:
				failed = append(failed, fmt.Sprintf("%s: %v", k.ID, err))
			}
		}
		fmt.Printf("%s\n", t.name)
		for _, chapter := range []string{"1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "13"} {
			fmt.Printf("  chapter %-3s %3d of %3d", chapter, passed[chapter], total[chapter])
			if n := skipped[chapter]; n > 0 {
				fmt.Printf(", %d not implemented", n)
			}
			if n := unclean[chapter]; n > 0 {
				fmt.Printf(", %d ended without a close frame", n)
			}
			fmt.Println()
		}
		for _, f := range failed {
			fmt.Println("  failed", f)
		}
	}
	return nil
}

// measure reports messages per second: the median of the rounds, and the least and the greatest.
func measure(o *options) error {
	rates := make([][]float64, len(o.targets))
	for range o.rounds {
		for i, t := range o.targets {
			n, err := round(o, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			rates[i] = append(rates[i], n)
		}
	}
	fmt.Printf("%d connections, %d bytes, %d on their way, %d rounds of %v: messages per second\n", o.connections, o.size, o.pipeline, o.rounds, o.duration)
	for i, t := range o.targets {
		slices.Sort(rates[i])
		fmt.Printf("%-24s %9.0f  (%.0f to %.0f)\n", t.name, rates[i][len(rates[i])/2], rates[i][0], rates[i][len(rates[i])-1])
	}
	return nil
}
