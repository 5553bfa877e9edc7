package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sample = `date          2026-01-02

== workload hello: 14 bytes

-- hello, 1 connection: medians
server   requests/s
mbserve  20 (10–30)

All runs in order:
round  conns  server   requests  requests/s  p50 ms  p99 ms  wrk CPU
1      1      mbserve  10        10          0.1     1.000   5.0 %
1      1      nginx    20        40          0.1     2.000   5.0 %
2      1      mbserve  10        30          0.1     3.000   5.0 %
2      64     mbserve  10        100         0.1     -       5.0 %


== workload page: never started
`

func TestParse(t *testing.T) {
	all, err := parse(sample)
	if err != nil || len(all) != 1 || all[0].workload != "hello" || len(all[0].runs) != 4 {
		t.Fatalf("got %+v, %v", all, err)
	}
	want := []turn{{"mbserve", 1, 10, 1}, {"nginx", 1, 40, 2}, {"mbserve", 1, 30, 3}, {"mbserve", 64, 100, -1}}
	if !slices.Equal(all[0].runs, want) {
		t.Errorf("got %+v", all[0].runs)
	}
	if _, err := find(all, ""); err != nil {
		t.Error(err)
	}
	if _, err := find(all, "page"); err == nil || !strings.Contains(err.Error(), "hello") {
		t.Errorf("got %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"", "hello\n", strings.Replace(sample, "  10          0.1", "  0.1", 1),
		strings.Replace(sample, "1      1      mbserve", "1      x      mbserve", 1), strings.Replace(sample, "2.000", "2 ms", 1)} {
		if got, err := parse(bad); err == nil {
			t.Errorf("taken as %+v", got)
		}
	}
}

func TestLines(t *testing.T) {
	all, err := parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := all[0].lines(nil, func(r turn) float64 { return r.p99 })
	if err != nil || len(lines) != 2 || lines[0].server != "mbserve" || len(lines[0].points) != 1 || lines[0].points[0].Median != 2 {
		t.Errorf("got %+v, %v", lines, err)
	}
	if _, err := all[0].lines([]string{"apache"}, func(r turn) float64 { return r.p99 }); err == nil {
		t.Error("a server without runs was drawn")
	}
}

// The larger value is higher, and all of the plot is used.
func TestAxes(t *testing.T) {
	all, err := parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := all[0].lines(nil, func(r turn) float64 { return r.perSecond })
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range []bool{false, true} {
		d := newDiagram("x", 100, lines, log)
		marks := d.marks()
		if len(marks) < 2 || len(marks) > 8 || d.y(marks[0]) != plotTop+plotHeight || d.y(d.high) != plotTop || d.y(40) <= d.y(100) || d.high < 100 {
			t.Errorf("logarithmic %v: marks %v up to %v", log, marks, d.high)
		}
		if d.x(1) >= d.x(64) || d.x(64) > 100+plotWidth {
			t.Errorf("logarithmic %v: x %v, %v", log, d.x(1), d.x(64))
		}
	}
	for _, v := range []float64{0.7, 1, 9, 99, 100, 123456} {
		if got := roundUp(v); got < v || got > 2*v {
			t.Errorf("roundUp(%v) = %v", v, got)
		}
	}
}

func TestPicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a<b.txt")
	if err := os.WriteFile(path, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{"-title", "a & b", path}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	decoder, texts := xml.NewDecoder(strings.NewReader(out.String())), []string(nil)
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, out.String())
		}
		if words, ok := token.(xml.CharData); ok {
			texts = append(texts, string(words))
		}
	}
	for _, want := range []string{"a & b", "Moonbridge", "nginx + Lua", "64", "connections"} {
		if !slices.Contains(texts, want) {
			t.Errorf("no %q in %q", want, texts)
		}
	}
	if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") {
		t.Errorf("in the picture:\n%s", out.String())
	}
}

// All results of compare that are kept can be drawn, those of earlier versions too.
func TestKeptResults(t *testing.T) {
	files, err := filepath.Glob("../results/*hello*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d results, %v", len(files), err)
	}
	for _, file := range files {
		if err := run([]string{"-workload", "hello", file}, io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"a", "b"}, {"/nothing/here"}, {"-unknown"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
