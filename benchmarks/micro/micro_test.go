package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

const output = `goos: linux
BenchmarkHead/browser/ours-2         	  100	  100.0 ns/op	  0 B/op	  0 allocs/op
BenchmarkHead/browser/nethttp-2      	  100	  1000 ns/op	  2048 B/op	  20 allocs/op
PASS
BenchmarkHead/browser/ours           	  100	  200.0 ns/op	  0 B/op	  0 allocs/op
BenchmarkHead/browser/nethttp        	  100	  1200 ns/op	  2048 B/op	  20 allocs/op
BenchmarkTimeout/move/time.Timer     	  100	  60.5 ns/op
`

func TestParse(t *testing.T) {
	all, err := parse(output)
	if err != nil || len(all) != 3 {
		t.Fatalf("got %+v, %v", all, err)
	}
	if b := all[1]; b.group != "Head/browser" || b.name != "nethttp" || !slices.Equal(b.ns, []float64{1000, 1200}) || b.allocs[0] != 20 {
		t.Errorf("got %+v", b)
	}
	if b := all[2]; b.group != "Timeout/move" || b.name != "time.Timer" || len(b.bytes) != 0 {
		t.Errorf("got %+v", b)
	}
	for _, bad := range []string{"", "PASS\n", "BenchmarkHead/browser/ours 100 many ns/op\n", "BenchmarkHead/browser/ours 100 1\n"} {
		if got, err := parse(bad); err == nil {
			t.Errorf("%q taken as %+v", bad, got)
		}
	}
}

func TestReport(t *testing.T) {
	all, err := parse(output)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	report(&out, options{rounds: 2, time: "1s"}, all)
	for _, want := range []string{"150.0 (100.0–200.0)", "8.00 (6.00–10.00)", "2 rounds of 1s", "time.Timer"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "NaN") {
		t.Errorf("a column that was not measured:\n%s", out.String())
	}
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.rounds != 5 || o.bench != "." {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, line := range []string{"-rounds 0", "-name a/b", "-dir /", "stray"} {
		if o, err := parseOptions(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%s: taken as %+v", line, o)
		}
	}
}

// The benchmarks run, and their output is understood.
func TestMeasure(t *testing.T) {
	o, err := parseOptions([]string{"-rounds", "1", "-time", "10x"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all, err := measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"Head/browser", "Head/api", "Timeout/move", "Queue/exchange"} {
		if b := find(all, group, base); b == nil || len(b.ns) != 1 || b.ns[0] <= 0 {
			t.Errorf("%s: %+v", group, b)
		}
	}
	if b := find(all, "Head/api", "fasthttp"); b == nil || len(b.allocs) != 1 {
		t.Errorf("fasthttp: %+v", b)
	}
}
