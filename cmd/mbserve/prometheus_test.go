package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dashboardPanel is a panel of the dashboard for Grafana.
type dashboardPanel struct {
	Title       string
	Targets     []struct{ Expr string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

func dashboardPanels(t *testing.T) []dashboardPanel {
	t.Helper()
	text, err := os.ReadFile("../../packaging/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []dashboardPanel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	return dashboard.Panels
}

// dashboardQueries are the queries of the dashboard, with what Grafana puts in for the variables.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	put := strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*")
	for _, p := range dashboardPanels(t) {
		for _, target := range p.Targets {
			queries = append(queries, put.Replace(target.Expr))
		}
	}
	if len(queries) < 20 {
		t.Fatalf("%d queries", len(queries))
	}
	return queries
}

// Everything that the dashboard names is a figure of the server.
func TestDashboardNames(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false")
	status(t, "GET", s.url("/dies"))
	s.awaitRequests(1)
	text := get(t, s.admin("/metrics"))
	for _, query := range dashboardQueries(t) {
		for _, name := range regexp.MustCompile(`(?:moonbridge|process)_[a-z0-9_]+`).FindAllString(query, -1) {
			if name != "moonbridge_workers_memory_bytes" && !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s in %s", name, query)
			}
		}
	}
}

// A share is at most 1, however many servers there are: it is a mean, or the ratio of two sums.
func TestDashboardShares(t *testing.T) {
	shares := 0
	for _, p := range dashboardPanels(t) {
		if p.FieldConfig.Defaults.Unit != "percentunit" {
			continue
		}
		for _, target := range p.Targets {
			if shares++; !strings.HasPrefix(target.Expr, "avg") && !strings.Contains(target.Expr, " / ") {
				t.Errorf("%s: the shares of servers are added: %s", p.Title, target.Expr)
			}
		}
	}
	if shares < 3 {
		t.Errorf("%d shares", shares)
	}
}

// startPrometheus starts a Prometheus that scrapes the server once a second. It returns its URL.
func startPrometheus(t *testing.T, target string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed")
	}
	dir := t.TempDir()
	config := fmt.Sprintf("scrape_configs:\n- job_name: moonbridge\n  scrape_interval: 1s\n  static_configs: [{targets: [%q]}]\n", target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr := newOutput(t)
	args = append(args, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", loopbackPort)
	cmd := exec.Command(program, args...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stderr.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line := out.wait(t, 0, "Listening on", "127.0.0.1:")
	return "http://" + regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
}

// ask returns the numbers that a query gives now.
func askPrometheus(t *testing.T, at, query string) (numbers []string) {
	t.Helper()
	resp, text, err := fetch(http.MethodGet, at+"/api/v1/query?query="+url.QueryEscape(query), "")
	if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
		return nil // it is starting
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []struct{ Value []any } }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status == "error" && resp.StatusCode == 400 {
		t.Fatalf("%s: %v %s", query, err, text)
	}
	for _, r := range answer.Data.Result {
		if len(r.Value) == 2 && r.Value[1] != "NaN" {
			numbers = append(numbers, fmt.Sprint(r.Value[1]))
		}
	}
	return numbers
}

// A Prometheus reads the figures, and every query of the dashboard gives numbers.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	givesNumbers(t, dashboardQueries(t))
}

// It reads native histograms, too. Then there are no classic ones in this version.
func TestPrometheusNative(t *testing.T) {
	t.Parallel()
	givesNumbers(t, []string{
		"histogram_quantile(0.9, sum(rate(moonbridge_request_duration_seconds[10s])))",
		"histogram_count(sum(moonbridge_queue_duration_seconds)) > 4",
	}, "--enable-feature=native-histograms")
}

// givesNumbers waits until every query has given numbers, of a server with some requests.
func givesNumbers(t *testing.T, left []string, args ...string) {
	t.Helper()
	s := startWatched(t, "false")
	at := startPrometheus(t, strings.TrimSuffix(strings.TrimPrefix(s.admin(""), "http://"), "/"), args...)
	status(t, "POST", s.url("/dies"))
	still := left
	defer func() {
		if len(still) > 0 {
			t.Logf("without numbers: %q", still)
		}
	}()
	eventually(t, "every query gives numbers", func() bool {
		for range 5 {
			get(t, s.url("/ok"))
			status(t, "GET", s.url("/error"))
		}
		left, still = still, nil
		for _, query := range left {
			if len(askPrometheus(t, at, query)) == 0 {
				still = append(still, query)
			}
		}
		return len(still) == 0
	})
}
