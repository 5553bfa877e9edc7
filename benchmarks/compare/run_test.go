package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

// A small but complete comparison: servers take turns in an order that rotates, and every run is recorded.
func TestBench(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed: benchmarks/install.sh")
	}
	o, err := parseOptions(strings.Fields("-servers nethttp,fasthttp -conns 2,4 -rounds 1 -duration 1s -warmup 0 -out -"), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if o.settings.Files, err = servers.RaiseFiles(1024); err != nil {
		t.Fatal(err)
	}
	o.settings.Temp, o.settings.Connections = t.TempDir(), 4
	if err := o.settings.Check(o.servers); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var progress bytes.Buffer
	b := bench{options: o, workload: servers.Workloads[0], progress: &progress}
	if err := b.run(ctx); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range b.result.runs {
		order = append(order, m.server)
		if m.wrk.Requests == 0 || m.serverCPU == 0 || m.wall < time.Second || troubles(m) != "" {
			t.Errorf("run %+v", m)
		}
	}
	if want := []string{"nethttp", "fasthttp", "fasthttp", "nethttp"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if lines := strings.Count(progress.String(), "\n"); lines != 4 {
		t.Errorf("%d lines of progress", lines)
	}
	for _, server := range b.servers {
		if server.Running() {
			t.Errorf("%s still runs", server.Name)
		}
	}
}

func TestBenchStopsOnSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := bench{options: options{servers: []string{"nethttp"}}, workload: servers.Workloads[0]}
	if err := b.run(ctx); err == nil || len(b.servers) != 0 {
		t.Errorf("%v, %d servers started", err, len(b.servers))
	}
}

// No raw result contains a path of the machine on which it was measured.
func TestResultsHaveNoAbsolutePaths(t *testing.T) {
	files, err := filepath.Glob("../results/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d results, %v", len(files), err)
	}
	absolute := regexp.MustCompile(`(?:^|[ =])/(?:home|root|work|tmp|srv|opt|mnt|Users)/`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if absolute.MatchString(line) {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
}

// A server has a core for itself, and lean loads it.
func TestBenchLean(t *testing.T) {
	o, err := parseOptions(strings.Fields("-servers onloop,proxy,limit -workload hello,proxy100k -lean -setting core -conns 3 -rounds 1 -duration 1s -warmup 0 -out -"), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.settings.Setting.Check(); err != nil {
		t.Skip("this machine cannot have the setting: ", err)
	}
	o.settings.Connections = o.connsMost()
	if err := o.settings.Prepare(1024, o.serversUsed()...); err != nil {
		t.Fatal(err)
	}
	defer o.settings.Remove()
	for _, w := range o.workloads {
		b := bench{options: o, workload: w, progress: &bytes.Buffer{}}
		if err := b.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, m := range b.result.runs {
			if m.wrk.Requests == 0 || m.wrk.P50 == 0 || m.wrk.P99 < m.wrk.P50 || m.serverCPU == 0 || m.wrkCPU == 0 || troubles(m) != "" {
				t.Errorf("%s: run %+v", w.Name, m)
			}
			if w.Name == "proxy100k" && m.wrk.Bytes < 0.9*102400*float64(m.wrk.Requests) {
				t.Errorf("%s: %.0f bytes/s with %d requests", w.Name, m.wrk.Bytes, m.wrk.Requests)
			}
		}
	}
}

// A workload with other requests beside it, and busy loops: both are counted.
func TestBenchBeside(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed: benchmarks/install.sh")
	}
	o, err := parseOptions(strings.Fields("-servers nethttp -workload beside -hogs 1 -conns 2 -rounds 1 -duration 1s -warmup 0 -out -"), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if o.settings.Files, err = servers.RaiseFiles(1024); err != nil {
		t.Fatal(err)
	}
	o.settings.Temp, o.settings.Connections = t.TempDir(), o.connsMost()
	if err := o.settings.Check(o.servers); err != nil {
		t.Fatal(err)
	}
	b := bench{options: o, workload: o.workloads[0], progress: &bytes.Buffer{}}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := b.result.runs[0]
	if m.wrk.Requests == 0 || m.beside.Requests == 0 || m.switches.Total() == 0 || m.requests() != m.wrk.Requests+m.beside.Requests {
		t.Errorf("run %+v", m)
	}
	if b.hogs.CPU() != 0 {
		t.Error("the busy loops still run")
	}
}
