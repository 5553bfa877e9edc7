package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.workers != 64 || o.rounds != 5 {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, line := range []string{"-workers 1", "-workers 1025", "-rounds 0", "-name ../x", "-dir /", "stray"} {
		if o, err := parseOptions(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%s: taken as %+v", line, o)
		}
	}
}

func TestParseNotes(t *testing.T) {
	got, err := parseNotes("10 5000\n11 7000\n12 90")
	want := []note{{10, 5 * time.Millisecond}, {11, 7 * time.Millisecond}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"x 1\n", "1\n", "\n"} {
		if got, err := parseNotes(bad); err == nil {
			t.Errorf("%q taken as %v", bad, got)
		}
	}
}

func TestStartTimes(t *testing.T) {
	first, per := startTimes(100, []note{{1, 150}, {2, 130}, {3, 190}})
	if first != 30 || per != 30 {
		t.Errorf("got %d, %d", first, per)
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	all := []observation{{reload: 2 * time.Millisecond, failed: 3}, {reload: 4 * time.Millisecond}, {reload: 3 * time.Millisecond}}
	report(&out, options{workers: 2, rounds: 3}, all)
	for _, want := range []string{"3.00 (2.00–4.00) ms", "3 requests failed", "2 workers, 3 rounds"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// A small round with the real server.
func TestObserve(t *testing.T) {
	o, err := parseOptions([]string{"-workers", "3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.settings.Mbserve); err != nil {
		t.Skip("mbserve is not built: ", err)
	}
	if o.settings.Files, err = servers.RaiseFiles(1024); err != nil {
		t.Fatal(err)
	}
	o.settings.Temp = t.TempDir()
	seen, err := observe(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if seen.firstReady <= 0 || seen.perWorker <= 0 || seen.replaced <= 0 || seen.reload <= 0 || seen.failed != 0 ||
		seen.fresh.private <= 0 || seen.used.private <= 0 || seen.used.pss <= 0 {
		t.Errorf("got %+v", seen)
	}
}
