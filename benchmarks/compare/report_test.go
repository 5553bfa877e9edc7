package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"
	"moonbridge/benchmarks/internal/wrk"
)

func TestNumbers(t *testing.T) {
	nan := math.NaN()
	tests := []struct{ name, got, want string }{
		{"large", number(123456.7), "123457"},
		{"middle", number(45.67), "45.7"},
		{"small", number(4.567), "4.57"},
		{"none", number(nan), "-"},
		{"spread", spread(stats.Summary{Median: 5, Min: 4, Max: 6}), "5.00 (4.00–6.00)"},
		{"ratio", ratio(stats.Summary{Median: 1.234, Min: 1, Max: 2}), "1.23 (1.00–2.00)"},
		{"no ratio", ratio(stats.Summary{Median: nan, Min: nan, Max: nan}), "-"},
		{"latency", milliseconds(float64(1500 * time.Microsecond)), "1.500"},
		{"percent", percent(time.Second, 2*time.Second), "50.0 %"},
		{"percent of nothing", percent(time.Second, 0), "-"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, test.got, test.want)
		}
	}
}

func TestAccount(t *testing.T) {
	ms := time.Millisecond
	began := time.Unix(1000, 0)
	names := []string{"mbserve", "nginx", "nethttp"}
	before := reading{at: began, names: names, used: []time.Duration{100 * ms, 200 * ms, 300 * ms},
		processes: []int{4, 3, 1}, machine: proc.Machine{Busy: 5000 * ms, Steal: 10 * ms, Total: 9000 * ms}}
	after := reading{at: began.Add(time.Second), names: names, used: []time.Duration{120 * ms, 900 * ms, 350 * ms},
		processes: []int{5, 3, 1}, machine: proc.Machine{Busy: 6500 * ms, Steal: 30 * ms, Total: 11000 * ms}}
	m := measurement{server: "nginx", wrkCPU: 400 * ms, wrk: wrk.Result{Requests: 1000}}
	m.account(before, after)
	if m.serverCPU != 700*ms || m.processes != 3 || m.idleCPU != 50*ms || m.idleName != "nethttp" || m.wall != time.Second ||
		m.steal != 20*ms || m.otherCPU != 1500*ms-700*ms-50*ms-20*ms-400*ms {
		t.Errorf("got %+v", m)
	}
	if got := m.perRequest(m.serverCPU); got != 700 {
		t.Errorf("CPU per request: %v µs, want 700", got)
	}
	if got := (measurement{}).perRequest(ms); !math.IsNaN(got) {
		t.Errorf("CPU per request without a request: %v", got)
	}
}

func sampleResult() workloadResult {
	answer := probe.Answer{Status: "200 OK", Head: 100, Fields: []probe.Field{{Name: "Date"}}, Body: []byte("x")}
	r := workloadResult{workload: servers.Workloads[0], names: []string{"mbserve", "nginx"},
		answers: []probe.Answer{answer, answer}, commands: []string{"mb", "ng"}, versions: []string{"", "v"}}
	rates := map[string][]float64{"mbserve": {120000, 90000, 150000}, "nginx": {100000, 100000, 100000}}
	for round := range 3 {
		for _, name := range r.names {
			r.runs = append(r.runs, measurement{server: name, conns: 64, round: round, wall: time.Second, serverCPU: time.Second, idleName: "nginx",
				wrk: wrk.Result{Requests: 200000, PerSecond: rates[name][round], P50: time.Millisecond, P99: 2 * time.Millisecond}})
		}
	}
	return r
}

func TestReport(t *testing.T) {
	o := options{conns: []int{64}}
	text := report(o, []machine.Fact{{Name: "cpu", Value: "abacus"}}, []workloadResult{sampleResult()}, nil)
	for _, want := range []string{
		`cpu +abacus`,
		`mbserve +120000 \(90000–150000\) +1\.20 \(0\.90–1\.50\) +- +1\.000 +2\.000 \(2\.000–2\.000\) +5\.00 \(5\.00–5\.00\) .* 0 +0\n`,
		`nginx +100000 \(100000–100000\) +1 +- `,
		`(?m)^2 +64 +mbserve +200000 +90000 `,
		`servers without load: at most 0\.0 %`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("nothing like %q in\n%s", want, text)
		}
	}
	for _, never := range []string{"WARNING", "INCOMPLETE", "NaN"} {
		if strings.Contains(text, never) {
			t.Errorf("%s in\n%s", never, text)
		}
	}
}

func TestReportTellsTroubles(t *testing.T) {
	r := sampleResult()
	r.runs[2].wrk.Errors.Read = 7
	r.runs[2].wrk.BadStatus = 9
	r.runs[3].idleCPU, r.runs[3].idleName = 100*time.Millisecond, "mbserve"
	r.runs[4].wrk = wrk.Result{}
	for i := range r.runs {
		r.runs[i].otherCPU = 300 * time.Millisecond
	}
	text := report(options{conns: []int{64, 128}}, nil, []workloadResult{r}, errors.New("interrupted"))
	for _, want := range []string{
		"INCOMPLETE: interrupted", "read 7", "9 answers not 2xx", "at most 10.0 % (mbserve)  WARNING", "median 30.0 %",
		"the machine had other work",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "128 connections") {
		t.Errorf("a table without runs in\n%s", text)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("a run without an answer gives\n%s", text)
	}
}

func TestWriteResultKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	first, err := writeResult(dir, "hello", "one")
	if err != nil {
		t.Fatal(err)
	}
	second, err := writeResult(dir, "hello", "two")
	if err != nil || first == second || !strings.HasSuffix(second, "-hello-2.txt") {
		t.Errorf("%s, then %s, %v", first, second, err)
	}
	if text, err := os.ReadFile(first); err != nil || string(text) != "one" {
		t.Errorf("the first result: %q, %v", text, err)
	}
	if _, err := writeResult(filepath.Join(dir, "none"), "x", ""); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}

func TestQuoteCommand(t *testing.T) {
	if got := quoteCommand("run", givenArgs([]string{"-dir", "/src", "-rounds", "5"})); got != "run -rounds 5" {
		t.Errorf("arguments of run.sh: got %s", got)
	}
	got := quoteCommand("run", []string{"-note", "it's cold", "-conns", "1,2", ""})
	if want := `run -note 'it'\''s cold' -conns 1,2 ''`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestModuleVersion(t *testing.T) {
	if got := moduleVersion("..", "github.com/valyala/fasthttp"); !strings.HasPrefix(got, "v1.") {
		t.Errorf("fasthttp: %q", got)
	}
	if got := moduleVersion("..", "example.org/nothing"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}
