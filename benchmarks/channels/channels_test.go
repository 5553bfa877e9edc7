package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.subscribers != 10000 || strings.Join(o.servers, ",") != "mbserve,nchan,floor1,floor2" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, line := range []string{"-subscribers 0", "-subscribers 1000001", "-single 0", "-burst 0", "-size 0", "-size 40000", "-servers apache", "-name ../x", "-rounds 0", "-rates 0", "-rates 1,x", "-windows 0", "-duration 1500ms", "-churn -1", "-websockets -servers floor2", "-websockets -servers centrifugo", "-streams 9 -servers centrifugo", "-beside -servers centrifugo", "-size 1", "-streams 129 -servers mbserve", "-streams 1", "stray"} {
		if o, err := parseOptions(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%s: taken as %+v", line, o)
		}
	}
}

// settled are options of a small run with a server, or the test skips.
func settled(t *testing.T, line string) *options {
	t.Helper()
	o, err := parseOptions(strings.Fields(line), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.settings.Mbserve); err != nil {
		t.Skip("mbserve is not built: make build")
	}
	for _, name := range []string{"cc", "wrk"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	if err := o.settings.Prepare(o.subscribers+spare, o.needs()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.settings.Remove)
	return &o
}

// All subscribers get all messages.
func TestRun(t *testing.T) {
	o := settled(t, "-servers mbserve,floor1,floor2 -subscribers 50 -single 3 -burst 20")
	var all [][]observation
	for _, name := range o.servers {
		seen, err := observe(t.Context(), o, name)
		if err != nil {
			t.Fatal(name, err)
		}
		if len(seen.times) != 3 || seen.burst <= 0 || seen.before.PSS == 0 || seen.after.PSS == 0 || seen.cpu <= 0 || seen.reading <= 0 {
			t.Errorf("%s: %+v", name, seen)
		}
		all = append(all, []observation{seen})
	}
	var text bytes.Buffer
	report(&text, o, all)
	for _, name := range o.servers {
		if !strings.Contains(text.String(), "\n"+name+" ") {
			t.Errorf("no %s in the report: %s", name, text.String())
		}
	}
}

func TestCentrifugo(t *testing.T) {
	if _, err := exec.LookPath(centrifugo); err != nil {
		t.Skip("Centrifugo is not installed: benchmarks/README.md")
	}
	o := settled(t, "-servers centrifugo -subscribers 50 -single 3 -burst 20")
	seen, err := observe(t.Context(), o, centrifugo)
	if err != nil || len(seen.times) != 3 || seen.burst <= 0 || seen.cpu <= 0 {
		t.Errorf("%+v, %v", seen, err)
	}
}

func TestBeside(t *testing.T) {
	o := settled(t, "-beside -servers mbserve,floor2 -subscribers 50 -rounds 1 -windows 1 -rates 20 -duration 1s")
	all, err := besideAll(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if len(s.ratio) != 1 || s.ratio[0] <= 0 || s.alone[0].perSecond <= 0 || s.with[0].perSecond <= 0 || s.with[0].p99 <= 0 {
			t.Errorf("%+v", s)
		}
	}
	var text bytes.Buffer
	reportBeside(&text, o, all)
	if !strings.Contains(text.String(), "\nmbserve beside floor2 ") {
		t.Errorf("report: %s", text.String())
	}
}

func TestWebSocketsAndHTTP2(t *testing.T) {
	for _, line := range []string{"-websockets", "-streams 20", "-streams 20 -websockets"} {
		t.Run(line, func(t *testing.T) {
			o := settled(t, line+" -servers mbserve -subscribers 50 -single 3 -burst 20")
			seen, err := observe(t.Context(), o, "mbserve")
			if err != nil || len(seen.times) != 3 {
				t.Errorf("%+v, %v", seen, err)
			}
		})
	}
}

func TestChurn(t *testing.T) {
	o := settled(t, "-churn 1000 -servers mbserve -subscribers 20")
	seen, err := churn(t.Context(), o, "mbserve")
	if err != nil || seen.memory[0] == 0 || seen.memory[parts] == 0 {
		t.Fatalf("%+v, %v", seen, err)
	}
	var text bytes.Buffer
	reportChurn(&text, o, []churned{seen})
	if !strings.Contains(text.String(), "mbserve ") {
		t.Errorf("report: %s", text.String())
	}
}
