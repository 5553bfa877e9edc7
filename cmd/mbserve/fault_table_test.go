package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const operations = "../../docs/operations.md"

// faultRows returns the rows of the fault table: cells by the first cell, in order.
func faultRows(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## When something goes wrong\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("there is no fault table")
	}
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what goes wrong") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i, c := range cells {
			cells[i] = strings.TrimSpace(c)
			if cells[i] == "" {
				t.Errorf("an empty cell in %q", line)
			}
		}
		if len(cells) != 5 {
			t.Errorf("%d cells in %q", len(cells), line)
			continue
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestFaultTable checks the fault table: each row is proven by existing tests, and the messages that it quotes are
// messages of the program.
func TestFaultTable(t *testing.T) {
	proven := map[string]bool{}
	known := testsOf(t, ".")
	for _, p := range faultProofs {
		if proven[p.entry] {
			t.Errorf("%s: twice", p.entry)
		}
		proven[p.entry] = true
		for _, name := range p.tests {
			test, sub, hasSub := strings.Cut(strings.TrimPrefix(name, "main."), "/")
			if f := known[test]; f == nil {
				t.Errorf("%s: no test %s", p.entry, name)
			} else if hasSub && !hasString(f, sub) {
				t.Errorf("%s: no subtest %s", p.entry, name)
			}
		}
		if len(p.tests) == 0 {
			t.Errorf("%s: no test", p.entry)
		}
	}
	program := sources(t)
	quoted := regexp.MustCompile("`([^`]+)`")
	seen := map[string]bool{}
	for _, cells := range faultRows(t) {
		if seen[cells[0]] = true; !proven[cells[0]] {
			t.Errorf("%s: not proven", cells[0])
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
			if strings.Contains(m[1], "=") || fromSystem[m[1]] {
				continue // a field
			}
			if !strings.Contains(program, m[1]) {
				t.Errorf("%s: the program has no message %q", cells[0], m[1])
			}
		}
	}
	for entry := range proven {
		if !seen[entry] {
			t.Errorf("%s: not in the operations manual", entry)
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d rows", len(seen))
	}
}

// fromSystem lists messages quoted in the table that come from elsewhere, or that the program builds from two parts:
// messages of the system and of Lua, and names of calls.
var fromSystem = map[string]bool{"bind: address already in use": true, "not enough memory": true, "listen": true}

// sources returns the source text of the program.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{".", "../../engine", "../../handler", "../../reactor"} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") || filepath.Ext(name) != ".go" && filepath.Ext(name) != ".c" {
				return err
			}
			text, err := os.ReadFile(name)
			b.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
