package parity

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// reason is a row of the table of differences: what differs, and why that is right.
type reason struct{ id, theirs, ours, why string }

var reasons = []reason{}

const differencesFile = "testdata/differences.txt"

var update = flag.Bool("update", false, "write "+differencesFile)

// difference is a case with different outcomes.
type difference struct{ name, why, theirs, ours string }

const caseMark, theirsMark, oursMark = "=== ", "--- net/http\n", "--- Moonbridge\n"

func (d difference) String() string {
	return fmt.Sprintf("%s%s [%s]\n%s%s%s%s\n", caseMark, d.name, d.why, theirsMark, d.theirs, oursMark, d.ours)
}

func writeDifferences(t *testing.T, list []difference) {
	var b strings.Builder
	b.WriteString("What differs from net/http, by the cases of the suite. Written by: go test -run TestParity -update\n\n")
	for _, d := range list {
		b.WriteString(d.String())
	}
	if err := os.WriteFile(differencesFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readDifferences(t *testing.T) map[string]difference {
	text, err := os.ReadFile(differencesFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	list := make(map[string]difference)
	for i, part := range strings.Split(string(text), "\n"+caseMark) {
		if i == 0 {
			continue
		}
		head, rest, _ := strings.Cut(part, "\n")
		name, why, _ := strings.Cut(strings.TrimSuffix(head, "]"), " [")
		theirs, ours, _ := strings.Cut(strings.TrimPrefix(rest, theirsMark), oursMark)
		if !strings.HasSuffix(ours, "\n\n") {
			ours += "\n"
		}
		list[name] = difference{name, why, theirs, strings.TrimSuffix(ours, "\n")}
	}
	return list
}
