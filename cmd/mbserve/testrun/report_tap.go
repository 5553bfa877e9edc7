package testrun

import (
	"io"
	"strings"
	"time"
)

// tap writes TAP, version 13 (testanything.org).
type tap struct {
	text
	n int
}

// NewTAP returns a Reporter that writes TAP.
func NewTAP(w io.Writer) Reporter { return &tap{text: text{w: w}} }

func (t *tap) Begin() { t.printf("TAP version 13\n") }

func (t *tap) Result(r *Result) {
	t.n++
	name := oneLine(r.Name)
	switch r.Outcome {
	case Passed:
		t.printf("ok %d - %s\n", t.n, name)
	case Skipped:
		t.printf("ok %d - %s # SKIP %s\n", t.n, name, oneLine(r.Message))
	default:
		t.printf("not ok %d - %s\n  ---\n  at: %s\n  message: |\n%s\n  ...\n", t.n, name, quoted(r.Where), indented(strings.Join(r.lines(), "\n"), "    "))
	}
}

func (t *tap) End(c Counts, broken error, took time.Duration) error {
	if broken != nil {
		t.printf("Bail out! %s\n", oneLine(broken.Error()))
	} else {
		t.printf("1..%d\n", t.n)
	}
	return t.err
}

// oneLine is a text without what ends a line or begins a directive.
func oneLine(s string) string {
	return strings.NewReplacer("\\", "\\\\", "#", "\\#", "\r", " ", "\n", " ").Replace(s)
}

// quoted is a text as YAML has it between single quotes.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "'", "''") + "'"
}
