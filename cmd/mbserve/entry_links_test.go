package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var link = regexp.MustCompile(`\]\(([^)\s#:]*)(#[^)\s]*)?\)`)

// Every link from the manual into the project has a target.
func TestManualLinks(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for n, line := range strings.Split(string(text), "\n") {
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			file := manual
			if m[1] != "" {
				file = filepath.Join(filepath.Dir(manual), m[1])
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("line %d: %v", n+1, err)
			} else if m[2] != "" && !anchors(t, file)[m[2][1:]] {
				t.Errorf("line %d: %s has no heading for %s", n+1, file, m[2])
			}
			found++
		}
	}
	if found < 50 {
		t.Errorf("the manual has only %d links", found)
	}
}

// anchors returns the names of the headings of a Markdown file in links, as GitHub generates them.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	fenced := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if fenced || !strings.HasPrefix(line, "#") {
			continue
		}
		names[strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-', c == '_', unicode.IsLetter(c), unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, strings.TrimSpace(strings.TrimLeft(line, "#")))] = true
	}
	return names
}
