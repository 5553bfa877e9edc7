package moonbridge_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestLinks: every link of a document that stays within the repository leads to a file, and to a heading if it names one.
func TestLinks(t *testing.T) {
	anchors := make(map[string]map[string]bool) // of the documents read so far
	links := 0
	for _, file := range files(t, ".md") {
		for _, l := range linksIn(read(t, file)) {
			links++
			target := filepath.Join(filepath.Dir(file), l.path)
			if l.path == "" {
				target = file
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s:%d: %v", file, l.line, err)
				continue
			}
			if l.anchor == "" {
				continue
			}
			if anchors[target] == nil {
				anchors[target] = anchorsIn(read(t, target))
			}
			if !anchors[target][l.anchor] {
				t.Errorf("%s:%d: %s has no heading for #%s", file, l.line, target, l.anchor)
			}
		}
	}
	if links < 100 {
		t.Errorf("%d links found: this test looks in the wrong place", links)
	}
}

// TestFilesNamedInDocuments: the files of the source that documents name, without a link, exist.
func TestFilesNamedInDocuments(t *testing.T) {
	named := regexp.MustCompile("`((?:bufio|cmd|docs|engine|handler|http\\w+|reactor|scripts|timers)/[\\w/.-]+)`")
	found := 0
	for _, file := range files(t, ".md") {
		for _, m := range named.FindAllStringSubmatch(read(t, file), -1) {
			found++
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if found < 10 {
		t.Errorf("%d names found: this test looks in the wrong place", found)
	}
}

// TestDocumentsNamedInCode: the documents that comments and programs name exist.
func TestDocumentsNamedInCode(t *testing.T) {
	named := regexp.MustCompile(`docs/[\w/]+\.md`)
	found := 0
	for _, file := range files(t, ".go", ".c", ".h", ".lua") {
		for _, name := range named.FindAllString(read(t, file), -1) {
			found++
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if found == 0 {
		t.Error("no file names a document: this test looks in the wrong place")
	}
}

// files lists the files of the repository with one of these extensions.
func files(t *testing.T, extensions ...string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name != "." && name[0] == '.' || name == "bin" || entry.Name() == "testdata"):
			return filepath.SkipDir
		}
		for _, extension := range extensions {
			if filepath.Ext(name) == extension {
				list = append(list, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// link is a link to a file of the repository, or to a heading of the same document if it has no path.
type link struct {
	line         int
	path, anchor string
}

var (
	linkOf = regexp.MustCompile(`\]\(([^)\s#:]*)(?:#([^)\s]*))?\)`) // with a colon it is an address of the web
	inCode = regexp.MustCompile("`[^`]*`")
)

// linksIn finds the links of a document outside of code.
func linksIn(text string) (list []link) {
	for n, line := range lines(text) {
		for _, m := range linkOf.FindAllStringSubmatch(inCode.ReplaceAllString(line, "``"), -1) {
			list = append(list, link{n, m[1], m[2]})
		}
	}
	return list
}

// anchorsIn are the names that the headings of a document have in links, as GitHub makes them.
func anchorsIn(text string) map[string]bool {
	names := make(map[string]bool)
	for _, line := range lines(text) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		name := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-', c == '_', unicode.IsLetter(c), unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, strings.TrimSpace(strings.TrimLeft(line, "#")))
		for n, first := 1, name; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", first, n)
		}
		names[name] = true
	}
	return names
}

// lines goes through the numbered lines of a document that are not in a block of code.
func lines(text string) func(yield func(n int, line string) bool) {
	return func(yield func(n int, line string) bool) {
		n, fenced := 0, false
		for line := range strings.Lines(text) {
			n++
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			} else if !fenced && !yield(n, strings.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}

func TestLinksIn(t *testing.T) {
	text := "[a](b.md#c) `[x](y)` [web](https://example.org/)\n```\n[code](z)\n```\n[d](#e), ![f](g.png)\n"
	want := []link{{1, "b.md", "c"}, {5, "", "e"}, {5, "g.png", ""}}
	if got := linksIn(text); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAnchorsIn(t *testing.T) {
	names := anchorsIn("# A `b.c(d)`: E-f_g\n```\n# code\n```\n## Twice\n## Twice\n")
	for _, want := range []string{"a-bcd-e-f_g", "twice", "twice-1"} {
		if !names[want] {
			t.Errorf("%q is missing in %v", want, names)
		}
	}
	if len(names) != 3 {
		t.Errorf("%v has more than three names", names)
	}
}
