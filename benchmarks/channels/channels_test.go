package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.subscribers != 10000 || strings.Join(o.servers, ",") != "mbserve,nchan" {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, line := range []string{"-subscribers 0", "-subscribers 1000001", "-single 0", "-burst 0", "-size 0", "-size 40000", "-servers apache", "-name ../x", "stray"} {
		if o, err := parseOptions(strings.Fields(line), io.Discard); err == nil {
			t.Errorf("%s: taken as %+v", line, o)
		}
	}
}

// All subscribers get all messages.
func TestRun(t *testing.T) {
	o, err := parseOptions([]string{"-servers", "mbserve", "-subscribers", "50", "-single", "3", "-burst", "20"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.settings.Mbserve); err != nil {
		t.Skip("mbserve is not built: make build")
	}
	seen, err := observe(context.Background(), &o, "mbserve")
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.times) != 3 || seen.burst <= 0 || seen.before.PSS == 0 || seen.after.PSS == 0 {
		t.Errorf("%+v", seen)
	}
	var text bytes.Buffer
	report(&text, &o, 1000, []observation{seen})
	if !strings.Contains(text.String(), "mbserve") {
		t.Errorf("report: %s", text.String())
	}
}
