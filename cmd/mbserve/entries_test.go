package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// proof says which tests show that an entry of the manual is true. shown stands for the manual's examples under the
// entry's heading, which TestManual runs; the others are package.TestName or package.TestName/subtest.
type proof struct {
	entry string // as chapter: entry
	tests []string
}

const shown = "example"

// TestEntries checks the table in entry_table_test.go against the manual and the tests: every entry of the manual's
// reference has a proof, every proof belongs to an entry of the manual, and every test in it exists.
func TestEntries(t *testing.T) {
	entries := manualEntries(t)
	proven := map[string]bool{}
	for _, p := range proofs {
		if proven[p.entry] {
			t.Errorf("%s: twice in the table", p.entry)
		}
		proven[p.entry] = true
		if _, known := entries[p.entry]; !known && !strings.HasPrefix(p.entry, "Rule: ") {
			t.Errorf("%s: the manual has no such entry", p.entry)
		}
		if len(p.tests) == 0 {
			t.Errorf("%s: no test", p.entry)
		}
	}
	for entry := range entries {
		if !proven[entry] {
			t.Errorf("%s: not in the table", entry)
		}
	}
	for _, name := range original {
		if !slices.ContainsFunc(proofs, func(p proof) bool { return bare(p.entry) == name }) {
			t.Errorf("%s of the original manual is not in the table", name)
		}
	}
}

// original lists the entries of the original's manual.
var original = strings.Fields(`listen
	socket:cancel socket:close socket:flush socket.input socket.interval socket:lines socket.local_ip4 socket.local_ip6
	socket.local_tcpport socket.output socket:read socket:readuntil socket.remote_ip4 socket.remote_ip6
	socket.remote_tcpport socket:write
	http.generate_handler request_body_size_limit chunk_size request_header_size_limit maximum_input_chunk_size
	minimum_output_chunk_size static_headers
	request.body request.cookies request.defer_reading request:finish request:finish_headers request:flush
	request.get_params request.get_params_list request.headers request.headers_csv_string request.headers_csv_table
	request.headers_flags request.headers_value request.method request.path request.post_metadata
	request.post_metadata_list request.post_params request.post_params_list request.query request:process_request_body
	request:send_data request:send_header request:send_status request.socket request:stream_post_param
	request:stream_post_params request:stream_request_body`)

// bare returns the name of an entry, without chapter and arguments.
func bare(entry string) string {
	_, name, _ := strings.Cut(entry, ": ")
	name, _, _ = strings.Cut(name, "(")
	return name
}

// TestEntriesHaveTests checks that the named tests exist.
func TestEntriesHaveTests(t *testing.T) {
	entries := manualEntries(t)
	examples := map[string]bool{}
	for _, e := range readManual(t, manual) {
		examples[e.heading] = true
	}
	packages := map[string]map[string]*ast.FuncDecl{}
	for name, dir := range map[string]string{"main": ".", "worker": "../../handler/worker",
		"rawhttp": "../../handler/worker/rawhttp", "form": "../../handler/worker/form", "pool": "../../handler/pool",
		"listen": "../../handler/pool/listen", "proxyproto": "../../handler/proxyproto", "forwarded": "../../handler/forwarded", "route": "../../handler/route", "policy": "../../handler/pool/policy",
		"engine": "../../engine", "cache": "../../handler/cache", "ratelimit": "../../handler/ratelimit", "channel": "../../handler/channel", "stream": "../../handler/channel/stream", "httpparse": "../../httpparse"} {
		packages[name] = testsOf(t, dir)
	}
	for _, p := range proofs {
		for _, name := range p.tests {
			if name == shown {
				if !examples[entries[p.entry]] {
					t.Errorf("%s: no example under %q", p.entry, entries[p.entry])
				}
				continue
			}
			where, test, _ := strings.Cut(name, ".")
			test, sub, hasSub := strings.Cut(test, "/")
			f := packages[where][test]
			if f == nil {
				t.Errorf("%s: no test %s", p.entry, name)
			} else if hasSub && test == "TestManual" && !examples[sub] || hasSub && test != "TestManual" && !hasString(f, sub) {
				t.Errorf("%s: no subtest %s", p.entry, name)
			}
		}
	}
}

// testsOf returns the tests of a package by name, whatever the build tags of their files.
func testsOf(t *testing.T, dir string) map[string]*ast.FuncDecl {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no tests, %v", dir, err)
	}
	tests := map[string]*ast.FuncDecl{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				tests[f.Name.Name] = f
			}
		}
	}
	return tests
}

// hasString reports whether a function contains a string: the name of a subtest.
func hasString(f *ast.FuncDecl, s string) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			text, err := strconv.Unquote(l.Value)
			found = found || err == nil && text == s
		}
		return !found
	})
	return found
}

var firstCell = regexp.MustCompile("^\\| `?([^`|]+?)`? *\\|")

// manualEntries returns the entries of the reference chapter, each with the heading above it. Entries are the headings
// of the two lowest levels, and the rows of tables whose first column is "parameter" or "status".
func manualEntries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	_, reference, found := strings.Cut(string(text), "\n## Reference\n")
	reference, _, end := strings.Cut(reference, "\n## ")
	if !found || !end {
		t.Fatal("the manual has no chapter Reference followed by another chapter")
	}
	entries := map[string]string{}
	var chapter, heading, column string
	fenced := false
	for line := range strings.Lines(reference) {
		line = strings.TrimSpace(line)
		cell := firstCell.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
		case strings.HasPrefix(line, "#"):
			marks, text, _ := strings.Cut(line, " ")
			heading, column = text, ""
			if len(marks) == 3 {
				chapter = text
				continue
			}
			for _, name := range splitList(heading) {
				entries[chapter+": "+name] = heading
			}
		case strings.HasPrefix(line, "|--"):
		case cell == nil:
			column = ""
		case column == "":
			column = cell[1]
		case column == "parameter":
			for _, name := range splitList(heading) {
				entries[fmt.Sprintf("%s: %s: %s", chapter, name, cell[1])] = heading
			}
		case column == "status":
			entries[chapter+": "+cell[1]] = heading
		}
	}
	if len(entries) < 100 {
		t.Fatalf("the manual has only %d entries", len(entries))
	}
	return entries
}

// splitList splits a heading at commas outside brackets.
func splitList(s string) (parts []string) {
	depth, from := 0, 0
	for i, c := range s {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, strings.TrimSpace(s[from:i])), i+1
			}
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}
