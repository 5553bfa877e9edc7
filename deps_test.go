// Package moonbridge_test checks what holds for the repository as a whole.
package moonbridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "moonbridge"

// imports is the policy: what a package may import besides the standard library. "*" is every package of this module, and
// words of external stand for packages of others. The table of packages in docs/ARCHITECTURE.md says the same. A new package
// needs a row in both.
//
// The arrows point from processes to loops to bytes. Packages that parse or keep time do no I/O (timers, bufio, httpparse,
// httpwrite). The package that drives sockets knows no HTTP (reactor). The package that speaks HTTP knows no process and no
// Lua (engine): it meets them only through the contract (handler/backend).
var imports = map[string][]string{
	"timers":                 {},
	"handler/accesslog":      {"httpparse", "httpwrite"},
	"bufio":                  {},
	"httpparse":              {},
	"httpwrite":              {"httpparse"},
	"engine/spool":           {"x/sys"},
	"handler/logging":        {},
	"reactor":                {"timers", "gnet", "x/sys"},
	"handler/backend":        {"httpparse"},
	"handler/list":           {},
	"engine":                 {"reactor", "bufio", "engine/spool", "timers", "handler/accesslog", "httpparse", "httpwrite", "handler/backend", "handler/list", "handler/logging", "hpack"},
	"handler":                {"handler/backend", "handler/files", "handler/mounts", "httpparse", "httpwrite", "handler/logging"},
	"handler/files":          {"httpparse", "httpwrite"},
	"handler/mounts":         {"x/sys"},
	"handler/files/static":   {"handler/backend", "handler/files", "handler/mounts", "httpparse", "httpwrite", "x/sys"},
	"handler/proxy":          {"handler/backend", "handler/forwarded", "handler/list", "handler/logging", "handler/proxyproto", "handler/upstream", "httpparse", "httpwrite"},
	"handler/route":          {"handler/backend", "handler/files", "httpparse"},
	"handler/tcpproxy":       {"handler/backend", "handler/logging", "handler/proxyproto", "handler/upstream", "httpparse"},
	"handler/upstream":       {"handler/backend", "httpparse"},
	"handler/compress":       {"handler/backend", "httpparse", "httpwrite", "brotli", "klauspost"},
	"handler/websocket":      {"handler/backend", "handler/logging", "httpparse", "httpwrite", "flate"},
	"handler/ratelimit":      {"handler/backend", "httpparse"},
	"handler/channel":        {"handler/backend", "handler/list"},
	"handler/channel/stream": {"handler/backend", "handler/channel", "handler/list", "httpparse", "httpwrite"},
	"handler/cache":          {"handler/backend", "handler/list", "httpparse", "httpwrite"},
	"handler/proxyproto":     {"handler/backend", "proxyproto"},
	"handler/shm":            {"httpparse", "x/sys"},
	"handler/forwarded":      {"httpparse"},
	"handler/pool/listen":    {"handler/forwarded", "handler/route", "handler/shm", "httpwrite"},
	"handler/pool/limits":    {"engine", "handler/pool/listen", "httpparse"},
	"handler/pool/luahttp":   {"engine", "handler/backend", "handler/pool", "handler/pool/limits", "handler/pool/listen", "handler/proxyproto"},
	"handler/pool/policy":    {"handler/pool/listen"},
	"handler/pool":           {"handler/pool/listen", "handler/pool/policy", "handler/backend", "handler/websocket", "handler/channel", "handler/channel/stream", "handler/mounts", "handler/shm", "handler/accesslog", "httpparse", "handler/logging", "x/sys"},
	"handler/worker/rawhttp": {"handler/accesslog", "bufio", "handler/shm", "httpparse", "httpwrite", "x/sys"},
	"handler/worker/form":    {"httpparse"},
	"handler/worker":         {"handler/files", "handler/forwarded", "handler/worker/form", "handler/worker/rawhttp", "handler/shm", "handler/accesslog", "bufio", "httpparse", "httpwrite"},
	"cmd/mbserve/metrics":    {"handler/accesslog", "prometheus"},
	"cmd/mbserve/admin":      {},
	"cmd/mbserve/crash":      {},
	"cmd/mbserve/otlp":       {"handler/accesslog", "handler/logging", "httpparse", "otel"},
	"cmd/mbserve/bus":        {"handler/channel", "redis", "nats"},
	"cmd/mbserve/testrun":    {},
	"packaging":              {},
	"cmd/mbserve":            {"*", "pflag", "x/sys"},
	"cmd/mbserve/acme":       {"engine", "certmagic", "zap"},
	"examples/go":            {"*"}, // the programs below it too

	// For tests only: the row of no other package names them.
	"cmd/mbserve/acme/acmetest":      {"reactor/reactortest"},
	"httpparse/conformance":          {},
	"handler/files/filestest":        {},
	"handler/pool/listen/listentest": {"handler/shm"},
	"handler/websocket/wstest":       {"framer", "hpack"},
	"handler/shm/shmtest":            {"handler/shm", "x/sys"},
	"reactor/reactortest":            {"x/sys"},
}

// external are the packages of other modules, by the words that stand for them in the table.
var external = map[string][]string{
	"gnet": {
		gnet + "pkg/netpoll",
		gnet + "pkg/queue",  // the poller's methods take its tasks
		gnet + "pkg/errors", // and return its errors
	},
	"x/sys":      {"golang.org/x/sys/unix"},
	"hpack":      {"golang.org/x/net/http2/hpack"},
	"framer":     {"golang.org/x/net/http2"}, // for tests
	"pflag":      {"github.com/spf13/pflag"},
	"proxyproto": {"github.com/pires/go-proxyproto"},
	"klauspost": {
		"github.com/klauspost/compress/gzip",
		"github.com/klauspost/compress/zstd",
	},
	"flate":     {"github.com/klauspost/compress/flate"},
	"brotli":    {"github.com/andybalholm/brotli"},
	"certmagic": {"github.com/caddyserver/certmagic"},
	"zap": { // what certmagic logs with
		"go.uber.org/zap",
		"go.uber.org/zap/zapcore",
	},
	"redis": {
		"github.com/redis/go-redis/v9",
		"github.com/redis/go-redis/v9/maintnotifications", // to switch them off
	},
	"nats": {
		"github.com/nats-io/nats.go",
		"github.com/nats-io/nats.go/jetstream",
	},
	"otel": {
		"go.opentelemetry.io/otel",
		"go.opentelemetry.io/otel/attribute",
		"go.opentelemetry.io/otel/codes",
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace",
		"go.opentelemetry.io/otel/sdk/resource",
		"go.opentelemetry.io/otel/sdk/trace",
		"go.opentelemetry.io/otel/trace",
		"go.opentelemetry.io/proto/otlp/trace/v1",
		"google.golang.org/protobuf/encoding/protowire",
		"google.golang.org/protobuf/proto",
	},
	"prometheus": {
		"github.com/prometheus/client_model/go",
		"github.com/prometheus/common/expfmt",
	},
}

const gnet = "github.com/panjf2000/gnet/v2/"

// cgoPackage is the only package that may import "C", and so the only one that needs Lua.
const cgoPackage = "handler/worker"

// goPackage is what is used of the output of go list. GoFiles, CgoFiles and IgnoredGoFiles together are all files that are not
// tests, plus the files for other systems, tests included.
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

// row is the name that the package has in the table.
func (p goPackage) row() string {
	if strings.HasPrefix(p.name(), "examples/go/") {
		return "examples/go"
	}
	return p.name()
}

// fileImports returns the imports by file name. It includes files that no build on this system uses.
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

// packages lists the packages of this module that have files other than tests.
func packages(t *testing.T) []goPackage {
	t.Helper()
	var list []goPackage
	for decoder := json.NewDecoder(goList(t, "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles", "./...")); ; {
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

// goList runs go list and returns what it writes. The commit is not asked for: see scripts/build.
func goList(t *testing.T, args ...string) io.Reader {
	t.Helper()
	return goOutput(t, append([]string{"list", "-buildvcs=false"}, args...)...)
}

// goOutput runs the go command and returns what it writes.
func goOutput(t *testing.T, args ...string) io.Reader {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return &stdout
}

// TestImportsFollowTheTable: each package has a row, each row has a package, and what a row allows is what the package
// imports, no more and no less.
func TestImportsFollowTheTable(t *testing.T) {
	unused := make(map[string]map[string]bool) // what rows allow and no import has used so far
	for name, allowed := range imports {
		unused[name] = make(map[string]bool)
		for _, word := range allowed {
			unused[name][word] = true
		}
	}
	exists, imported := make(map[string]bool), make(map[string]bool)
	for _, p := range packages(t) {
		exists[p.row()] = true
		if _, ok := imports[p.row()]; !ok {
			t.Errorf("package %q is not in the table", p.name())
			continue
		}
		for file, list := range p.fileImports(t) {
			for _, one := range list {
				imported[one] = true
				by, ok := allowedBy(imports[p.row()], one)
				if !ok {
					t.Errorf("%s/%s imports %q, which the table does not allow", p.name(), file, one)
				}
				delete(unused[p.row()], by)
			}
		}
	}
	exists["examples/go"] = true // it holds programs and tests, and no file of its own
	for name := range imports {
		if !exists[name] {
			t.Errorf("package %q of the table does not exist", name)
			continue
		}
		for word := range unused[name] {
			t.Errorf("the table allows %s to import %q, which it does not need", name, word)
		}
	}
	for word, list := range external {
		for _, one := range list {
			if !imported[one] {
				t.Errorf("%q stands for %q, which nothing imports", word, one)
			}
		}
	}
}

// allowedBy reports whether a row of the table allows an import, and which of its words does; "" for the standard library.
// "C" is left to a test of its own.
func allowedBy(allowed []string, imported string) (word string, ok bool) {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		if slices.Contains(allowed, own) {
			return own, true
		}
		return "*", slices.Contains(allowed, "*")
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "", true // no dot in the first element, as in a host name: the standard library
	}
	for _, word := range allowed {
		if slices.Contains(external[word], imported) {
			return word, true
		}
	}
	return "", false
}

func TestAllowedBy(t *testing.T) {
	tests := []struct {
		allowed  []string
		imported string
		word     string
		ok       bool
	}{
		{nil, "net/http", "", true},
		{nil, "C", "", true},
		{nil, "moonbridge/timers", "*", false},
		{[]string{"timers"}, "moonbridge/timers", "timers", true},
		{[]string{"handler"}, "moonbridge/handler/shm", "*", false},
		{[]string{"*"}, "moonbridge/handler/shm", "*", true},
		{[]string{"*"}, "golang.org/x/sys/unix", "", false},
		{[]string{"x/sys"}, "golang.org/x/sys/unix", "x/sys", true},
		{[]string{"x/sys"}, "golang.org/x/sys/windows", "", false},
		{[]string{"x/sys"}, gnet + "pkg/netpoll", "", false},
		{[]string{"gnet"}, gnet + "pkg/netpoll", "gnet", true},
	}
	for _, tt := range tests {
		if word, ok := allowedBy(tt.allowed, tt.imported); ok != tt.ok || ok && word != tt.word {
			t.Errorf("allowedBy(%q, %q) = %q, %v, want %q, %v", tt.allowed, tt.imported, word, ok, tt.word, tt.ok)
		}
	}
}

// TestArchitectureHasTheTable: the table of packages in docs/ARCHITECTURE.md has the rows of this file.
func TestArchitectureHasTheTable(t *testing.T) {
	documented := make(map[string][]string)
	for _, row := range tableUnder(t, "docs/ARCHITECTURE.md", "## 3. Packages") {
		name, ok := linkToPackage(row[0])
		if !ok || len(row) != 3 {
			t.Errorf("row %q is not | [package](../package) | what it is | what it may import |", row)
			continue
		}
		if _, twice := documented[name]; twice {
			t.Errorf("package %s has two rows", name)
		}
		documented[name] = cellWords(row[2])
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if _, ok := imports[name]; !ok {
			t.Errorf("package %s is in the document, but not in the table of deps_test.go", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		words, ok := documented[name]
		if !ok {
			t.Errorf("package %s is in the table of deps_test.go, but not in the document", name)
		} else if !sameWords(words, imports[name]) {
			t.Errorf("package %s may import %q as the document has it, and %q in deps_test.go", name, words, imports[name])
		}
	}
}

// linkToPackage returns the package of a first cell, as in "[engine](../engine)".
func linkToPackage(cell string) (name string, ok bool) {
	name, target, ok := strings.Cut(strings.TrimPrefix(cell, "["), "](../")
	return name, ok && cell == "["+name+"](../"+name+")" && target == name+")"
}

// cellWords returns the packages that a last cell allows: words of the table, "nothing", or "all" for "*".
func cellWords(cell string) []string {
	words := strings.Split(cell, ", ")
	if words[0] == "nothing" {
		words = words[1:]
	} else if words[0] == "all" {
		words[0] = "*"
	}
	return words
}

func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestOnePackageUsesCgo(t *testing.T) {
	found := false
	for _, p := range packages(t) {
		for file, list := range p.fileImports(t) {
			if !slices.Contains(list, "C") {
				continue
			}
			if p.name() != cgoPackage {
				t.Errorf("%s/%s imports \"C\": only %s may", p.name(), file, cgoPackage)
			}
			found = true
		}
	}
	if !found {
		t.Errorf("no file imports \"C\": this test looks in the wrong place")
	}
}

// TestOnlyTheWorkerNeedsLua: besides the packages that may import everything, none depends on the one with cgo, and neither
// do their tests. scripts/check-portable compiles them without cgo.
func TestOnlyTheWorkerNeedsLua(t *testing.T) {
	worker := 0
	for decoder := json.NewDecoder(goList(t, "-test", "-json=ImportPath,Deps", "./...")); ; {
		var p struct {
			ImportPath string // "engine", "engine.test", or "engine [engine.test]"
			Deps       []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("output of go list: %v", err)
		}
		tested, _, _ := strings.Cut(p.ImportPath, " ")
		name := goPackage{ImportPath: strings.TrimSuffix(strings.TrimSuffix(tested, ".test"), "_test")}.row()
		if name == cgoPackage {
			worker++
		} else if slices.Contains(p.Deps, module+"/"+cgoPackage) && !slices.Contains(imports[name], "*") {
			t.Errorf("%s depends on %s", p.ImportPath, cgoPackage)
		}
	}
	if worker == 0 {
		t.Errorf("package %s was not found", cgoPackage)
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
	if len(files) != 1 {
		slices.Sort(files)
		t.Errorf("files that import gnet: %q, want exactly one", files)
	}
}

// TestDirectRequirements: go.mod marks the modules that this module does not import as indirect, and only those. (go mod tidy
// would say so too, but it needs the sources of modules that only the tests of dependencies import.)
func TestDirectRequirements(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.NewDecoder(goOutput(t, "mod", "edit", "-json")).Decode(&mod); err != nil {
		t.Fatal(err)
	}
	direct := make(map[string]bool)
	for _, list := range external {
		for _, imported := range list {
			for _, r := range mod.Require {
				if strings.HasPrefix(imported, r.Path+"/") || imported == r.Path {
					direct[r.Path] = true
				}
			}
		}
	}
	for _, r := range mod.Require {
		if r.Indirect == direct[r.Path] {
			t.Errorf("go.mod: %s: indirect is %v, but this module imports it: %v", r.Path, r.Indirect, direct[r.Path])
		}
	}
}
