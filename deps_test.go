// Package moonbridge_test checks what holds for the repository as a whole.
package moonbridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module  = "moonbridge"
	gnet    = "github.com/panjf2000/gnet/v2/"
	netpoll = gnet + "pkg/netpoll"
	queue   = gnet + "pkg/queue"  // the poller's signatures are made of its tasks
	errno   = gnet + "pkg/errors" // and its errors
	sys     = "golang.org/x/sys/unix"
	pflag   = "github.com/spf13/pflag"
)

// imports is the policy: what a package may import besides the standard library. "*" is every package of this module.
//
// The arrows point from processes to loops to bytes. Whoever parses or keeps time does no I/O (timers, bufio,
// httpparse); whoever drives sockets knows no HTTP (reactor); whoever speaks HTTP knows no process and no Lua (engine).
// A package that is not in this table does not belong to the module yet: give it its line first.
var imports = map[string][]string{
	"timers":              {},
	"bufio":               {},
	"httpparse":           {},
	"reactor":             {"timers", netpoll, queue, errno, sys},
	"httpwrite":           {"httpparse"},
	"handler":             {"handler/backend", "httpparse", "httpwrite"},
	"handler/backend":     {"httpparse"},
	"handler/shm":         {sys},
	"handler/pool/listen": {"handler/shm"},
	"handler/pool/policy": {"handler/pool/listen"},
	"handler/pool":        {"handler/backend", "handler/pool/listen", "handler/pool/policy", "handler/shm", "httpparse", sys},
	"handler/worker":      {"handler/shm", "httpparse", sys},
	"engine":              {"reactor", "bufio", "httpparse", "httpwrite", "handler/backend", "timers"},
	"cmd/mbserve":         {"*", sys, pflag},
	"examples/go":         {"*"}, // and every program below it

	// For tests only: no line of the table names it.
	"httpparse/conformance":          {},
	"handler/pool/listen/listentest": {"handler/shm"},
}

// mustExist are the packages whose absence means that this test looks at the wrong place.
var mustExist = []string{"timers", "httpparse", "handler"}

// cgoPackage is the only one that may import "C".
const cgoPackage = "handler/worker"

// goPackage is what is used of the output of go list. The file lists together are all files but tests, those for other
// systems included.
type goPackage struct {
	ImportPath     string
	Dir            string
	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string
}

func (p goPackage) name() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// fileImports returns the imports by file name. Files that are no part of any build on any system count as well.
func (p goPackage) fileImports(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
		if strings.HasSuffix(name, "_test.go") {
			continue // the ignored files of other systems include tests
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", p.name(), err)
			continue
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s/%s: import %s: %v", p.name(), name, spec.Path.Value, err)
			}
			found[name] = append(found[name], imported)
		}
	}
	return found
}

// packages lists those of this module that have files besides tests.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var list []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("output of go list: %v", err)
		}
		if len(p.GoFiles)+len(p.CgoFiles)+len(p.IgnoredGoFiles) > 0 {
			list = append(list, p)
		}
	}
}

func TestImportsFollowTheTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range packages(t) {
		seen[p.name()] = true
		name := p.name()
		if strings.HasPrefix(name, "examples/go/") {
			name = "examples/go"
		}
		allowed, ok := imports[name]
		if !ok {
			t.Errorf("package %q is not in the table", p.name())
			continue
		}
		for file, list := range p.fileImports(t) {
			for _, imported := range list {
				if !mayImport(allowed, imported) {
					t.Errorf("%s/%s imports %q, which the table does not allow", p.name(), file, imported)
				}
			}
		}
	}
	for _, name := range mustExist {
		if !seen[name] {
			t.Errorf("package %q was not found", name)
		}
	}
}

func TestOnePackageUsesCgo(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() == cgoPackage {
			continue
		}
		for file, list := range p.fileImports(t) {
			if slices.Contains(list, "C") {
				t.Errorf("%s/%s imports \"C\": only %s may", p.name(), file, cgoPackage)
			}
		}
	}
}

func TestOneFileImportsGnet(t *testing.T) {
	var files []string
	for _, p := range packages(t) {
		for file, list := range p.fileImports(t) {
			if slices.ContainsFunc(list, func(imported string) bool { return strings.HasPrefix(imported, gnet) }) {
				files = append(files, path.Join(p.name(), file))
			}
		}
	}
	if len(files) > 1 {
		slices.Sort(files)
		t.Errorf("gnet is imported by more than one file: %s", strings.Join(files, ", "))
	}
}

// mayImport reports whether a package with this line of the table may import that path. "C" is left to its own test.
func mayImport(allowed []string, imported string) bool {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.Contains(allowed, own) || slices.Contains(allowed, "*")
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library: no dot in the first element, as in a host name
	}
	return slices.Contains(allowed, imported)
}

func TestMayImport(t *testing.T) {
	tests := []struct {
		allowed  []string
		imported string
		want     bool
	}{
		{nil, "net/http", true},
		{nil, "C", true},
		{nil, "moonbridge/timers", false},
		{[]string{"timers"}, "moonbridge/timers", true},
		{[]string{"handler"}, "moonbridge/handler/shm", false},
		{[]string{"*"}, "moonbridge/handler/shm", true},
		{[]string{"*"}, sys, false},
		{[]string{sys}, sys, true},
		{[]string{sys}, netpoll, false},
	}
	for _, tt := range tests {
		if got := mayImport(tt.allowed, tt.imported); got != tt.want {
			t.Errorf("mayImport(%q, %q) = %v, want %v", tt.allowed, tt.imported, got, tt.want)
		}
	}
}
