package main

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// optionRows are the rows of the table of options that stands under a heading of a document, by the spelling of each option.
func optionRows(t *testing.T, file, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, found := strings.Cut(string(text), "\n"+heading+"\n")
	_, table, _ := strings.Cut(chapter, "\n| option | meaning |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if !found || table == "" {
		t.Fatalf("%s has no table of options under %q", file, heading)
	}
	rows := make(map[string]string)
	for line := range strings.Lines(table) {
		names, meaning, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range regexp.MustCompile("`(-[^`]*)`").FindAllStringSubmatch(names, -1) {
			rows[m[1]] = meaning
		}
	}
	return rows
}

// defaultIn finds the default that a row names, or both of a row of two options.
var defaultIn = regexp.MustCompile("default `?([\\d.:]+\\w?)`?(?: and `(\\w+)`)?|Default `(\\w+)`|default `([a-z]+)`|`(\\w+)` \\((?:the )?default\\)")

// TestOptionTables: each option is in the table of its document, as the help spells it, and all of the table are options. A default
// that a row names is that of the option.
func TestOptionTables(t *testing.T) {
	for _, c := range []struct {
		file, heading string
		flags         *pflag.FlagSet
		defaults      int
	}{
		{"../../docs/operations.md", "## Command line", new(options).flags(), 12},
		{"../../docs/testing.md", "## Running tests", new(testOptions).flags(), 1},
	} {
		rows := optionRows(t, c.file, c.heading)
		defaults := 0
		c.flags.VisitAll(func(f *pflag.Flag) {
			value, _ := pflag.UnquoteUsage(f)
			spelled := "--" + f.Name
			switch {
			case f.Value.Type() == "bool":
			case f.NoOptDefVal != "":
				spelled += "[=" + value + "]"
			default:
				spelled += " " + value
			}
			meaning, found := rows[spelled]
			if !found && f.Name != "help" {
				t.Errorf("%s has no `%s`", c.file, spelled)
			}
			delete(rows, spelled)
			if f.Shorthand != "" {
				delete(rows, "-"+f.Shorthand)
			}
			if m := defaultIn.FindStringSubmatch(meaning); m != nil {
				defaults++
				if is := cmp.Or(f.DefValue, staticAddress); !slices.Contains(m[1:], is) {
					t.Errorf("%s: the default of `%s` is %s, and in the table %q", c.file, spelled, is, m[0])
				}
			}
		})
		for spelled := range rows {
			t.Errorf("%s has `%s`, which is no option", c.file, spelled)
		}
		if defaults < c.defaults {
			t.Errorf("%s: %d defaults found, want at least %d: this test looks in the wrong place", c.file, defaults, c.defaults)
		}
	}
}
