package parity

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

const differencesFile = "testdata/differences.txt"

var update = flag.Bool("update", false, "write "+differencesFile)

// difference is a case with different outcomes.
type difference struct{ name, why, theirs, ours string }

// reasonsByCase returns the name of the row for each case that differs.
func reasonsByCase(t *testing.T) map[string]string {
	of := make(map[string]string)
	for _, r := range reasons {
		if len(r.cases) == 0 {
			t.Errorf("no case shows %q", r.what)
		}
		for _, name := range r.cases {
			if of[name] != "" {
				t.Errorf("case %q is in two rows", name)
			}
			of[name] = r.what
		}
	}
	return of
}

// TestTable checks that the document has the table of the reasons.
func TestTable(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| ") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	want := []string{"| | net/http | Moonbridge | why |"}
	for _, r := range reasons {
		want = append(want, fmt.Sprintf("| %s | %s | %s | %s |", r.what, r.theirs, r.ours, r.why))
	}
	for i, row := range want {
		if i >= len(rows) || rows[i] != row {
			t.Errorf("%s has no row\n%s", document, row)
		}
	}
	if len(rows) > len(want) {
		t.Errorf("%s has %d rows too many", document, len(rows)-len(want))
	}
}

const document = "../../docs/net-http.md"

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
