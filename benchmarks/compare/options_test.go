package main

import (
	"flag"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

func TestParseOptions(t *testing.T) {
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.servers, servers.Names) || o.conns != nil || o.settings.Setting != servers.Apart || o.hogs != 0 ||
		!slices.Equal(o.connsOf(o.workloads[0]), []int{1, 16, 64, 256, 1024}) || o.connsMost() != 1024 || o.rounds != 3 ||
		o.duration != 5*time.Second || o.threads != 2 || o.name != "hello" || o.out != filepath.Join(dir, "results") ||
		o.settings.Benchmarks != dir || o.settings.Mbserve != filepath.Join(filepath.Dir(dir), "bin", "mbserve") {
		t.Errorf("defaults: %+v", o)
	}
	o, err = parseOptions(strings.Fields("-servers nginx -workload page,echo -conns 8,9 -duration 2s -warmup 0 -out - -mbserve x "+
		"-mbserve-options min_fork=4,max_fork=8 -mbserve-flags --debug -setting together -hogs 2"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.name != "page+echo" || len(o.workloads) != 2 || o.warmup != 0 || o.out != "-" || !slices.Equal(o.conns, []int{8, 9}) ||
		o.settings.Setting != servers.Together || o.hogs != 2 || !slices.Equal(o.settings.MbserveOptions, []string{"min_fork=4", "max_fork=8"}) ||
		!slices.Equal(o.settings.MbserveFlags, []string{"--debug"}) || !filepath.IsAbs(o.settings.Mbserve) {
		t.Errorf("got %+v", o)
	}
	if o, err = parseOptions([]string{"-workload", "all"}, io.Discard); err != nil || len(o.workloads) != len(servers.Workloads) || o.name != "all" {
		t.Errorf("all workloads: %v, %v", o.workloads, err)
	}
}

// A workload is measured with those of the chosen servers that have it.
func TestServersOf(t *testing.T) {
	o, err := parseOptions(strings.Fields("-servers limit,nginx,onloop -workload page,beside -conns 8"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.serversOf(o.workloads[0]); !slices.Equal(got, []string{"nginx", "onloop"}) {
		t.Errorf("page: %v", got)
	}
	if o.connsMost() != 8+servers.BesideConns {
		t.Errorf("at most %d connections", o.connsMost())
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	for _, line := range []string{
		"-servers apache", "-workload goodbye", "-conns 0", "-conns 1,x", "-conns 30000", "-rounds 0", "-duration 100ms",
		"-duration 1500ms", "-warmup -1s", "-warmup 10ms", "-threads 0", "-name ../x", "-dir /", "-out /nothing/here", "-unknown", "stray",
		"-setting alone", "-lean -workload hello,https", "-lean -workload form", "-lean -workload beside", "-hogs -1", "-hogs 9999", "-workload page -servers limit,gnet",
	} {
		if o, err := parseOptions(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%s: taken as %+v", line, o)
		}
	}
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	if _, err := parseOptions([]string{"--help"}, &out); err != flag.ErrHelp {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"usage: compare", "-servers", "-conns", "blocking"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the help", want)
		}
	}
}

// The upstream of proxies is built even if it is not measured.
func TestServersUsedHaveTheirUpstream(t *testing.T) {
	o, err := parseOptions(strings.Fields("-servers nginx,haproxy -workload hello,proxy1k -out -"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := o.serversUsed(), []string{"nginx", "haproxy", "limit"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
