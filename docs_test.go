package moonbridge_test

import (
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section returns what stands under a heading of a document, up to the next heading of the same level or a higher one.
func section(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	for ; len(level) > 1; level = level[1:] {
		rest, _, _ = strings.Cut(rest, "\n"+level+" ")
	}
	return rest
}

// tableUnder returns the cells of the one table that stands under a heading of a document, without its head.
func tableUnder(t *testing.T, file, heading string) (rows [][]string) {
	t.Helper()
	rule := regexp.MustCompile(`^[-:| ]+$`)
	rules := 0
	for line := range strings.Lines(section(t, file, heading)) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			continue
		case rule.MatchString(line):
			rules++
			rows = rows[:max(len(rows)-1, 0)] // the head stands above the rule
		default:
			rows = append(rows, cells(line))
		}
	}
	if rules != 1 {
		t.Fatalf("%s has %d tables under %q, want one", file, rules, heading)
	}
	return rows
}

// cells splits a row of a table. No cell has a vertical bar in it.
func cells(line string) []string {
	list := strings.Split(strings.Trim(line, "|"), "|")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// TestGuideNamesPackages checks that the guide for Go programmers names all packages that its readers can import.
func TestGuideNamesPackages(t *testing.T) {
	const file = "docs/go.md"
	text := section(t, file, "### Packages")
	for _, p := range packages(t) {
		name := p.name()
		if strings.HasPrefix(name, "cmd/") || name == "packaging" || strings.HasPrefix(name, "examples/") || strings.HasSuffix(name, "test") || name == "httpparse/conformance" {
			continue // programs, and packages for tests
		}
		if !strings.Contains(text, "`"+module+"/"+name+"`") {
			t.Errorf("%s does not name %s", file, name)
		}
	}
}

// TestGuidePackagesHaveExamples checks that each package in the guide's table has an example, which go test runs.
func TestGuidePackagesHaveExamples(t *testing.T) {
	const needsProgram = "handler/worker" // it is imported for its effect: package pool has an example of both
	example := regexp.MustCompile(`(?m)^func Example`)
	for _, row := range tableUnder(t, "docs/go.md", "### Packages") {
		name := strings.TrimPrefix(strings.Trim(row[0], "`"), module+"/")
		files, err := filepath.Glob(filepath.Join(name, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && example.Match(text)
		})
		if !found && name != needsProgram {
			t.Errorf("package %s has no example", name)
		}
	}
}

// TestGuideNamesModules checks what the guide says of the modules of others that a program gets with the packages that it imports.
func TestGuideNamesModules(t *testing.T) {
	const file = "docs/go.md"
	names := map[string]string{ // what the guide calls them
		"github.com/panjf2000/gnet/v2": "`gnet`", "go.uber.org/zap": "`zap`", "go.uber.org/multierr": "`multierr`", "gopkg.in/natefinch/lumberjack.v2": "`lumberjack`",
		"golang.org/x/sys": "`golang.org/x/sys`", "golang.org/x/net": "`golang.org/x/net`",
		"github.com/andybalholm/brotli": "`brotli`", "github.com/klauspost/compress": "`klauspost/compress`", "github.com/pires/go-proxyproto": "`go-proxyproto`",
	}
	_, text, _ := strings.Cut(section(t, file, "### Packages"), "\nYour program gets these modules")
	text, _, _ = strings.Cut(text, "\n\n")
	base := modulesOf(t, "engine", "handler")
	for _, m := range base {
		if names[m] == "" || !strings.Contains(text, names[m]) {
			t.Errorf("%s does not say that engine and handler need %s", file, m)
		}
	}
	for _, row := range tableUnder(t, file, "### Packages") {
		name := strings.TrimPrefix(strings.Trim(row[0], "`"), module+"/")
		for _, m := range modulesOf(t, name) {
			if !slices.Contains(base, m) && (names[m] == "" || !strings.Contains(text, names[m]) || !strings.Contains(text, "`"+name+"`")) {
				t.Errorf("%s does not say that %s needs %s", file, name, m)
			}
		}
	}
}

// modulesOf are the modules of others that these packages need.
func modulesOf(t *testing.T, names ...string) (list []string) {
	t.Helper()
	args := []string{"-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}
	for _, name := range names {
		args = append(args, "./"+name)
	}
	out, err := io.ReadAll(goList(t, args...))
	if err != nil {
		t.Fatal(err)
	}
	list = strings.Fields(string(out))
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(m string) bool { return m == module })
}

// TestMapsOfPackages checks that the package comment of a large package says where each of its files belongs. Patterns may stand for the
// files of several systems, but not for all that begin alike.
func TestMapsOfPackages(t *testing.T) {
	const (
		large   = 40 // files
		systems = 3  // files that a pattern may stand for
	)
	for _, dir := range []string{"cmd/mbserve", "engine", "handler", "handler/pool", "handler/worker", "httpparse", "reactor"} {
		files := sources(t, dir)
		if len(files) < large {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "doc.go"))
		if err != nil {
			t.Error(err)
			continue
		}
		mentioned := make(map[string]bool)
		patterns := regexp.MustCompile(`[a-z0-9_*]+\.go\b`).FindAllString(string(text), -1)
		for _, p := range patterns {
			names := matching(p, files)
			if len(names) == 0 {
				t.Errorf("%s/doc.go mentions %s, which does not exist", dir, p)
			}
			if len(names) > systems {
				continue
			}
			for _, name := range names {
				mentioned[name] = true
			}
		}
		for _, name := range files {
			if !mentioned[name] {
				t.Errorf("%s/doc.go does not mention %s", dir, name)
			}
		}
	}
}

func matching(pattern string, names []string) (list []string) {
	for _, name := range names {
		if ok, _ := path.Match(pattern, name); ok {
			list = append(list, name)
		}
	}
	return list
}

// sources are the names of a package's files, without doc.go and tests.
func sources(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "doc.go" {
			names = append(names, name)
		}
	}
	return names
}
