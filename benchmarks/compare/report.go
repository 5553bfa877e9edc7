package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/stats"
)

// bases are the servers to which ratios of throughput are computed.
var bases = []string{"nginx", "haproxy", "nethttp", "reverseproxy", "iocopy", "fasthttp", "gnet", "limit"}

// costBases returns the servers to which ratios of CPU time and latency are computed: nginx and HAProxy, or net/http where
// there is neither.
func costBases(present []string) (chosen []string) {
	for _, name := range []string{"nginx", "haproxy"} {
		if slices.Contains(present, name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 && slices.Contains(present, "nethttp") {
		return []string{"nethttp"}
	}
	return chosen
}

// idlePercentMax is how busy a server without load may be, in percent of one core, before the report warns about it.
const idlePercentMax = 2

// report returns the text of the result file. failure is the error that ended the comparison early, or nil.
func report(o options, facts []machine.Fact, results []workloadResult, failure error) string {
	var out strings.Builder
	for _, f := range facts {
		fmt.Fprintf(&out, "%-14s%s\n", f.Name, f.Value)
	}
	if failure != nil {
		fmt.Fprintf(&out, "\nINCOMPLETE: %v\n", failure)
	}
	fmt.Fprintf(&out, "\n%s\n", ratioSigns)
	for _, r := range results {
		fmt.Fprintf(&out, "\n\n== workload %s: %s\n", r.workload.Name, r.workload.Purpose)
		writeAnswers(&out, r)
		for _, conns := range o.connsOf(r.workload) {
			writeTables(&out, r, conns)
		}
		writeQuality(&out, r)
		writeRuns(&out, r)
	}
	return out.String()
}

func table(out *strings.Builder, rows func(w *tabwriter.Writer)) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows(w)
	w.Flush()
}

// writeAnswers shows the differences that remain between the answers, which have been checked to be alike.
func writeAnswers(out *strings.Builder, r workloadResult) {
	fmt.Fprintf(out, "\nAll servers answer alike: %s, a Date, what becomes of the connection.\n", alike(r))
	table(out, func(w *tabwriter.Writer) {
		for i, name := range r.names {
			var fields []string
			for _, f := range r.answers[i].Fields {
				fields = append(fields, f.Name)
			}
			coded := ""
			if _, there := r.answers[i].Get("Content-Encoding"); there {
				coded = fmt.Sprintf("body of %d bytes, ", len(r.answers[i].Body))
			}
			fmt.Fprintf(w, "  %s\t%shead of %d bytes: %s\n", name, coded, r.answers[i].Head, strings.Join(fields, ", "))
		}
	})
	for i, name := range r.names {
		fmt.Fprintf(out, "  started %s: %s\n", name, r.commands[i])
	}
}

// alike lists what has been found to be alike.
func alike(r workloadResult) string {
	if coding, there := r.answers[0].Get("Content-Encoding"); there {
		return "status, decoded body, size of the body within 3 %, Content-Type, Content-Encoding: " + coding
	}
	return fmt.Sprintf("status, body (%d bytes), Content-Type, Content-Length", len(r.answers[0].Body))
}

// series returns one value for each round in which the server was measured at that number of connections.
func (r workloadResult) series(server string, conns int, value func(measurement) float64) []float64 {
	var out []float64
	for _, m := range r.runs {
		if m.server == server && m.conns == conns {
			out = append(out, value(m))
		}
	}
	return out
}

func perSecond(m measurement) float64 { return m.wrk.PerSecond }

func bytesPerSecond(m measurement) float64 { return m.wrk.Bytes }

// bulkBytes is the size of a body above which bytes count too: many responses are then incomplete when a round ends, and more of a
// server that gives its connections small parts in turn.
const bulkBytes = 1 << 20

func (r workloadResult) bulk() bool { return len(r.answers) > 0 && len(r.answers[0].Body) >= bulkBytes }

// writeTables writes what was measured at a number of connections, and how the servers compare.
func writeTables(out *strings.Builder, r workloadResult, conns int) {
	if !slices.ContainsFunc(r.runs, func(m measurement) bool { return m.conns == conns }) {
		return // the comparison ended before it
	}
	noun := "connections"
	if conns == 1 {
		noun = "connection"
	}
	fmt.Fprintf(out, "\n-- %s, %d %s: medians (smallest–largest) of the rounds\n", r.workload.Name, conns, noun)
	table(out, func(w *tabwriter.Writer) { writeFigures(w, r, conns) })
	if len(r.names) > 1 {
		fmt.Fprintf(out, "-- %s, %d %s: ratios within the rounds\n", r.workload.Name, conns, noun)
		table(out, func(w *tabwriter.Writer) { writeRatios(w, r, conns) })
	}
	if base := r.shareBase(); base != "" {
		fmt.Fprintf(out, "-- %s, %d %s: shares of CPU time. With a proxy that costs nothing, requests/s to %s would be the last column\n", r.workload.Name, conns, noun, base)
		table(out, func(w *tabwriter.Writer) { writeShares(w, r, conns, base) })
	}
}

func writeFigures(w *tabwriter.Writer, r workloadResult, conns int) {
	beside := ""
	if r.workload.Beside != "" {
		beside = "beside it/s\t"
	}
	upstream := ""
	if r.workload.Upstream() != "" {
		upstream = "upstream CPU µs/req\t"
	}
	bulk := ""
	if r.bulk() {
		bulk = "MB/s\t"
	}
	fmt.Fprintf(w, "server\trequests/s\t%s%sp50 ms\tp99 ms\tserver CPU µs/req\tswitches/req\t%swrk CPU µs/req\tsocket errors\tnot 2xx\n", bulk, beside, upstream)
	for _, name := range r.names {
		summary := func(value func(measurement) float64) stats.Summary {
			return stats.Summarise(r.series(name, conns, value))
		}
		rates := summary(perSecond)
		if rates.N == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t", name, spread(rates))
		if bulk != "" {
			fmt.Fprintf(w, "%s\t", number(summary(bytesPerSecond).Median/1e6))
		}
		if beside != "" {
			fmt.Fprintf(w, "%s\t", number(summary(func(m measurement) float64 { return m.beside.PerSecond }).Median))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t", milliseconds(summary(p50).Median), lateness(summary(p99)), spread(summary(cpu)),
			number(summary(measurement.switchesPerRequest).Median))
		if upstream != "" {
			fmt.Fprintf(w, "%s\t", number(summary(func(m measurement) float64 { return m.perRequest(m.upCPU) }).Median))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\n",
			number(summary(func(m measurement) float64 { return m.perRequest(m.wrkCPU) }).Median),
			r.sum(name, conns, func(m measurement) int { return m.socketErrors().Total() }), r.sum(name, conns, measurement.badStatus))
	}
}

func writeRatios(w *tabwriter.Writer, r workloadResult, conns int) {
	var present []string
	for _, base := range bases {
		if slices.Contains(r.names, base) {
			present = append(present, base)
		}
	}
	costs := costBases(present)
	fmt.Fprint(w, "server")
	for _, base := range present {
		fmt.Fprintf(w, "\trequests/s to %s", base)
		if r.bulk() {
			fmt.Fprintf(w, "\tbytes/s to %s", base)
		}
	}
	for _, base := range costs {
		fmt.Fprintf(w, "\tCPU/req to %s\tp50 to %[1]s\tp99 to %[1]s", base)
	}
	fmt.Fprintln(w)
	for _, name := range r.names {
		if len(r.series(name, conns, perSecond)) == 0 {
			continue
		}
		fmt.Fprint(w, name)
		for _, base := range present {
			fmt.Fprintf(w, "\t%s", r.ratio(name, base, conns, perSecond))
			if r.bulk() {
				fmt.Fprintf(w, "\t%s", r.ratio(name, base, conns, bytesPerSecond))
			}
		}
		for _, base := range costs {
			fmt.Fprintf(w, "\t%s\t%s\t%s", r.ratio(name, base, conns, cpu), r.ratio(name, base, conns, p50), r.ratio(name, base, conns, p99))
		}
		fmt.Fprintln(w)
	}
}

// shareBase is the proxy on net/http, or on Go's net, to which proxies are compared by their shares of CPU time, or "".
func (r workloadResult) shareBase() string {
	for _, name := range []string{"reverseproxy", "iocopy"} {
		if r.workload.Upstream() != "" && slices.Contains(r.names, name) {
			return name
		}
	}
	return ""
}

// writeShares says how much of the CPU time is that of the upstream and of wrk. Where the machine is busy, requests/s follow from the CPU
// time of all of them, so that what a proxy can gain is bounded.
func writeShares(w *tabwriter.Writer, r workloadResult, conns int, base string) {
	fmt.Fprintf(w, "server\tserver, upstream and wrk µs/req\tupstream and wrk µs/req\tserver CPU/req to %s\tall CPU/req to %[1]s\trequests/s to %[1]s at most\n", base)
	for _, name := range r.names {
		if len(r.series(name, conns, perSecond)) == 0 {
			continue
		}
		all, others := r.series(name, conns, allCPU), r.series(name, conns, othersCPU)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, spread(stats.Summarise(all)), spread(stats.Summarise(others)),
			r.ratio(name, base, conns, cpu), r.ratio(name, base, conns, allCPU),
			number(stats.Summarise(stats.Ratios(r.series(base, conns, allCPU), others)).Median))
	}
}

func othersCPU(m measurement) float64 { return m.perRequest(m.upCPU + m.wrkCPU) }
func allCPU(m measurement) float64    { return cpu(m) + othersCPU(m) }

// ratio compares a value of two servers, round by round.
func (r workloadResult) ratio(name, base string, conns int, value func(measurement) float64) string {
	if name == base {
		return "1"
	}
	return ratio(stats.Summarise(stats.Ratios(r.series(name, conns, value), r.series(base, conns, value))))
}

func cpu(m measurement) float64 { return m.perRequest(m.serverCPU) }
func p50(m measurement) float64 { return latency(m, m.wrk.P50) }
func p99(m measurement) float64 { return latency(m, m.wrk.P99) }

// latency returns nanoseconds, NaN for a run without an answer or without usable latencies.
func latency(m measurement, d time.Duration) float64 {
	if m.wrk.Requests == 0 || d <= 0 {
		return math.NaN()
	}
	return float64(d)
}

func (r workloadResult) sum(server string, conns int, value func(measurement) int) int {
	total := 0
	for _, m := range r.runs {
		if m.server == server && m.conns == conns {
			total += value(m)
		}
	}
	return total
}

// writeQuality says how reliable the numbers of this workload are.
func writeQuality(out *strings.Builder, r workloadResult) {
	var idle, other, steal float64
	var idleName string
	var others []float64
	for _, m := range r.runs {
		wall := float64(m.wall) / 100
		if part := float64(m.idleCPU) / wall; part >= idle {
			idle, idleName = part, m.idleName
		}
		others = append(others, float64(m.otherCPU)/wall)
		other = max(other, float64(m.otherCPU)/wall)
		steal = max(steal, float64(m.steal)/wall)
	}
	fmt.Fprintf(out, "\nQuality of these runs, in percent of one core:\n")
	if idleName != "" {
		fmt.Fprintf(out, "  servers without load: at most %.1f %% (%s)%s\n", idle, idleName, warn(idle > idlePercentMax,
			"a server was not idle while others were measured"))
	}
	fmt.Fprintf(out, "  anything but the servers, their upstream, wrk and busy loops: median %.1f %%, at most %.1f %%%s\n", stats.Quantile(others, 0.5), other,
		warn(stats.Quantile(others, 0.5) > 10, "the machine had other work: expect wide spreads"))
	fmt.Fprintf(out, "  taken by the hypervisor: at most %.1f %%%s\n", steal, warn(steal > 5, "the host was busy"))
	for _, m := range r.runs {
		if text := troubles(m); text != "" {
			fmt.Fprintf(out, "  %s, %d connections, round %d:%s\n", m.server, m.conns, m.round+1, text)
		}
	}
}

func warn(bad bool, text string) string {
	if !bad {
		return ""
	}
	return "  WARNING: " + text
}

// writeRuns lists every run in order of time, so that the medians can be checked.
func writeRuns(out *strings.Builder, r workloadResult) {
	fmt.Fprintf(out, "\nAll runs in order:\n")
	table(out, func(w *tabwriter.Writer) {
		fmt.Fprintln(w, "round\tconns\tserver\trequests\trequests/s\tbeside it/s\tp50 ms\tp99 ms\tmax ms\tserver CPU\tCPU µs/req\tswitches/req\t"+
			"of them involuntary\twrk CPU\tother CPU\tprocesses\tsocket errors\tnot 2xx\tMB/s")
		for _, m := range r.runs {
			fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%.0f\n", m.round+1, m.conns, m.server,
				m.wrk.Requests, m.wrk.PerSecond, m.beside.PerSecond, milliseconds(p50(m)), milliseconds(p99(m)),
				milliseconds(latency(m, m.wrk.Max)), percent(m.serverCPU, m.wall), number(cpu(m)), number(m.switchesPerRequest()),
				number(m.each(float64(m.switches.Involuntary))), percent(m.wrkCPU, m.wall), percent(m.otherCPU, m.wall), m.processes,
				m.socketErrors().Total(), m.badStatus(), m.wrk.Bytes/1e6)
		}
	})
}
