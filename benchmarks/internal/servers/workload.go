package servers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"moonbridge/benchmarks/internal/probe"
)

// Workload is a request that every server answers.
type Workload struct {
	Name      string
	Purpose   string
	method    string
	body      []byte
	wrkScript string   // in benchmarks/scripts, "" for a plain GET
	mbOptions []string // pool options that mbserve needs for a fair comparison
}

// Workloads lists all workloads.
var Workloads = []Workload{
	{Name: "hello", Purpose: "14 bytes, constant: the minimum cost of a request", method: "GET"},
	{Name: "page", Purpose: "a page of 4 KB, 50 rows built by the handler", method: "GET"},
	// nginx and Go hold as many sleepers as there are connections; mbserve needs a worker for each.
	{Name: "blocking", Purpose: "the handler sleeps 2 ms (mbserve: blocks its worker)", method: "GET",
		mbOptions: []string{"pre_fork=64", "min_fork=64", "max_fork=64", "fork_delay=0.01"}},
	{Name: "echo", Purpose: "sends a posted body of 1 KiB back", method: "POST",
		body: []byte(strings.Repeat("0123456789abcdef", 64)), wrkScript: "wrk-echo.lua"},
}

// FindWorkload returns the workload with this name.
func FindWorkload(name string) (Workload, error) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		var names []string
		for _, w := range Workloads {
			names = append(names, w.Name)
		}
		return Workload{}, fmt.Errorf("unknown workload %q; the workloads are %s", name, strings.Join(names, ", "))
	}
	return Workloads[i], nil
}

// Request returns the bytes of one request of the workload.
func (w Workload) Request(address string) []byte { return probe.Request(w.method, address, w.body) }

// WrkScript returns the path of wrk's script, or "".
func (w Workload) WrkScript(benchmarks string) string {
	if w.wrkScript == "" {
		return ""
	}
	return filepath.Join(benchmarks, "scripts", w.wrkScript)
}
