package testrun

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Reporter writes what has become of tests.
type Reporter interface {
	Begin()
	Result(*Result)
	// End is called last. broken: why the tests could not be run, or not all of them; nil: they were.
	End(c Counts, broken error, took time.Duration) error
}

// text writes for a reader.
type text struct {
	w   io.Writer
	err error
}

// NewText returns a Reporter that writes for a reader.
func NewText(w io.Writer) Reporter { return &text{w: w} }

func (t *text) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

func (t *text) Begin() {}

func (t *text) Result(r *Result) {
	word := map[Outcome]string{Passed: "ok  ", Failed: "FAIL", Skipped: "skip"}[r.Outcome]
	t.printf("%s  %s (%s)\n", word, r.Name, short(r.Took))
	if r.Outcome == Passed {
		return
	}
	for _, line := range r.lines() {
		t.printf("      %s\n", line)
	}
}

func (t *text) End(c Counts, broken error, took time.Duration) error {
	if broken != nil {
		t.printf("FAIL  the tests could not be run\n%s\n", indented(broken.Error(), "      "))
	}
	t.printf("%s: %d passed, %d failed, %d skipped (%s)\n", counted(c.Total()), c.Passed, c.Failed, c.Skipped, short(took))
	return t.err
}

func counted(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

// short is a time with as many digits as matter.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// lines explain a result.
func (r *Result) lines() (lines []string) {
	add := func(s string) {
		for line := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
			lines = append(lines, line)
		}
	}
	if r.Where != "" && !hasPlace(r.Message, r.Where) {
		add(r.Where)
	}
	if r.Message != "" {
		add(r.Message)
	}
	if r.Trace != "" {
		add(r.Trace)
	}
	if r.Last != "" && r.Outcome == Failed {
		add(r.Last)
	}
	if len(r.Log) > 0 {
		add("logged for this test:")
		for _, entry := range r.Log {
			add(indented(entry, "  "))
		}
	}
	return lines
}

// indented is a text with each line indented.
func indented(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by)
}
