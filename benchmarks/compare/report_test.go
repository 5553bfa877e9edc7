package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
		{"ratio above", ratio(stats.Summary{Median: 1.234, Min: 1.01, Max: 2, N: 3}), "1.23 (1.01–2.00)"},
		{"ratio below", ratio(stats.Summary{Median: 0.5, Min: 0.4, Max: 0.9, N: 2}), "0.50 (0.40–0.90)"},
		{"ratio within its spread", ratio(stats.Summary{Median: 1.234, Min: 0.9, Max: 2, N: 3}), "1.23 ≈ (0.90–2.00)"},
		{"ratio of one round", ratio(stats.Summary{Median: 1.5, Min: 1.5, Max: 1.5, N: 1}), "1.50 ?"},
		{"latencies", lateness(stats.Summary{Median: 2e6, Min: 1e6, Max: 3e6, N: 3}), "2.000 (1.000–3.000)"},
		{"no latencies", lateness(stats.Summary{Median: nan, Min: nan, Max: nan}), "-"},
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
		processes: []int{4, 3, 1}, switches: []proc.Switches{{}, {Voluntary: 100, Involuntary: 10}, {}}, machine: proc.Machine{Busy: 5000 * ms, Steal: 10 * ms, Total: 9000 * ms}}
	after := reading{at: began.Add(time.Second), names: names, used: []time.Duration{120 * ms, 900 * ms, 350 * ms},
		processes: []int{5, 3, 1}, hogs: 60 * ms, switches: []proc.Switches{{}, {Voluntary: 350, Involuntary: 60}, {}}, machine: proc.Machine{Busy: 6500 * ms, Steal: 30 * ms, Total: 11000 * ms}}
	m := measurement{server: "nginx", wrkCPU: 400 * ms, wrk: wrk.Result{Requests: 1000}}
	m.account(before, after)
	if m.serverCPU != 700*ms || m.processes != 3 || m.idleCPU != 50*ms || m.idleName != "nethttp" || m.wall != time.Second ||
		m.steal != 20*ms || m.otherCPU != 1500*ms-700*ms-50*ms-20*ms-400*ms-60*ms || m.switches != (proc.Switches{Voluntary: 250, Involuntary: 50}) {
		t.Errorf("got %+v", m)
	}
	if got := m.perRequest(m.serverCPU); got != 700 {
		t.Errorf("CPU per request: %v µs, want 700", got)
	}
	if got := m.switchesPerRequest(); got != 0.3 {
		t.Errorf("switches per request: %v, want 0.3", got)
	}
	m.beside.Requests = 500
	if got := m.switchesPerRequest(); got != 0.2 {
		t.Errorf("switches per request with others beside: %v, want 0.2", got)
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
			r.runs = append(r.runs, measurement{server: name, conns: 64, round: round, wall: time.Second, serverCPU: time.Second, switches: proc.Switches{Voluntary: 100000}, idleName: "nginx",
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
		`mbserve +120000 \(90000–150000\) +1\.000 +2\.000 \(2\.000–2\.000\) +5\.00 \(5\.00–5\.00\) +0\.50 .* 0 +0\n`,
		`(?m)^mbserve +1\.20 ≈ \(0\.90–1\.50\) +1\.00 ≈ .* +1\.00 ≈ \(1\.00–1\.00\)$`,
		`(?m)^nginx +1 +1 +1 +1$`,
		`(?m)^2 +64 +mbserve +200000 +90000 `,
		`no difference`,
		`servers without load: at most 0\.0 %`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("nothing like %q in\n%s", want, text)
		}
	}
	for _, never := range []string{"to limit", "WARNING", "INCOMPLETE", "NaN"} {
		if strings.Contains(text, never) {
			t.Errorf("%s in\n%s", never, text)
		}
	}
}

func TestReportOfCodings(t *testing.T) {
	r := sampleResult()
	for i := range r.answers {
		r.answers[i].Fields = []probe.Field{{Name: "Content-Encoding", Value: "gzip"}}
	}
	r.answers[1].Body = []byte("longer")
	text := report(options{conns: []int{64}}, nil, []workloadResult{r}, nil)
	for _, want := range []string{"decoded body, size of the body within 3 %, Content-Type, Content-Encoding: gzip, a Date",
		"nginx    body of 6 bytes, head of 100 bytes"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestReportOfBeside(t *testing.T) {
	r := sampleResult()
	r.workload.Beside = "/blocking"
	for i := range r.runs {
		r.runs[i].beside = wrk.Result{Requests: 200000, PerSecond: 7654}
	}
	text := report(options{conns: []int{64}}, nil, []workloadResult{r}, nil)
	for _, want := range []string{`requests/s +beside it/s +p50`, `mbserve +120000 \(90000–150000\) +7654 +1\.000 .* 2\.50 \(2\.50–2\.50\)`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("nothing like %q in\n%s", want, text)
		}
	}
}

// What a proxy can gain is bounded by the CPU time of the others.
func TestReportOfShares(t *testing.T) {
	r := sampleResult()
	w, err := servers.FindWorkload("proxy100k")
	if err != nil {
		t.Fatal(err)
	}
	r.workload, r.names = w, []string{"proxy", "reverseproxy"}
	run := func(name string, server time.Duration) measurement {
		return measurement{server: name, conns: 64, serverCPU: server, upCPU: 20 * time.Millisecond, wrkCPU: 30 * time.Millisecond, wrk: wrk.Result{Requests: 1000, PerSecond: 1000}}
	}
	r.runs = []measurement{run("proxy", 40*time.Millisecond), run("reverseproxy", 150*time.Millisecond)}
	var out strings.Builder
	writeTables(&out, r, 64)
	fields := regexp.MustCompile(`(?m)^proxy +90.0 \(90.0–90.0\) +50.0 \(50.0–50.0\) +0.27 \? +0.45 \? +4.00$`)
	if !fields.MatchString(out.String()) {
		t.Errorf("no shares of the proxy in\n%s", out.String())
	}
	r.workload = servers.Workloads[0]
	out.Reset()
	if writeTables(&out, r, 64); strings.Contains(out.String(), "shares") {
		t.Error("shares without an upstream")
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

func TestRelativeArgs(t *testing.T) {
	s := servers.Settings{Benchmarks: "/home/x/src/benchmarks"}
	got := relativeArgs(s, []string{"-mbserve", "/home/x/src/bin/old", "-out=/home/x/results", "-note", "it's cold"})
	if want := []string{"-mbserve", "bin/old", "-out=results", "-note", "it's cold"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
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
