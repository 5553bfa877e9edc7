package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// block is a block of Go code in a document.
type block struct {
	file string
	line int // number of its first line
	text string
}

// blocks returns the blocks of Go code in a document.
func blocks(t *testing.T, file string) (found []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllSubmatchIndex(text, -1) {
		found = append(found, block{file, 2 + bytes.Count(text[:at[0]], []byte("\n")), string(text[at[2]:at[3]])})
	}
	return found
}

// known lists the packages that declarations in documents may use without an import.
var known = map[string]string{}

func init() {
	for path := range strings.FieldsSeq(`
		bytes cmp context crypto/tls database/sql encoding/json errors fmt hash/crc32 io log log/slog net net/http net/netip net/url os os/exec os/signal strconv sync/atomic syscall time
		moonbridge/engine moonbridge/handler moonbridge/handler/backend moonbridge/handler/pool moonbridge/handler/pool/listen
		moonbridge/httpparse moonbridge/httpwrite moonbridge/handler/logging moonbridge/reactor moonbridge/handler/files/static
		moonbridge/handler/route moonbridge/handler/proxy moonbridge/handler/ratelimit moonbridge/handler/tcpproxy moonbridge/handler/upstream moonbridge/handler/proxyproto moonbridge/handler/forwarded
		moonbridge/handler/websocket moonbridge/handler/cache moonbridge/handler/channel moonbridge/handler/channel/stream`) {
		known[path[strings.LastIndexByte(path, '/')+1:]] = path
	}
}

// source returns a source file for a block. A block that is not a complete file gets a package clause, and imports for
// the names that it does not declare. A line directive makes compiler errors refer to the document.
func (b block) source() (string, error) {
	where := fmt.Sprintf("//line %s:%d\n", b.file, b.line)
	if strings.HasPrefix(b.text, "package ") {
		return where + b.text, nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package guide\n"+where+b.text, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", b.file, err)
	}
	head := "package guide\n"
	unresolved := make(map[string]bool)
	for _, name := range parsed.Unresolved {
		unresolved[name.Name] = true
	}
	imported := make(map[string]bool)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && unresolved[x.Name] && known[x.Name] != "" && !imported[x.Name] {
				imported[x.Name] = true
				head += fmt.Sprintf("import %q\n", known[x.Name])
			}
		}
		return true
	})
	return head + where + b.text, nil
}

// TestProgramsAreShort checks that the programs to start from are as short as the guide says. Blank lines and comments are no code.
func TestProgramsAreShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/go.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "\n### Programs to start from\n")
	list, _, _ = strings.Cut(list, "\n### ")
	const most = 90
	if !strings.Contains(list, fmt.Sprintf("at most %d lines of code", most)) {
		t.Errorf("the guide does not say that they have at most %d lines", most)
	}
	rows := regexp.MustCompile(`(?m)^\| \[\w+\]\(\.\./(examples/go/\S+\.go)\)`).FindAllStringSubmatch(list, -1)
	if len(rows) < 9 {
		t.Errorf("%d programs in the guide", len(rows))
	}
	for _, row := range rows {
		files, err := filepath.Glob(filepath.Join(root, filepath.Dir(row[1]), "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %v, %v", row[1], files, err)
		}
		n := 0
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(source)) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
					n++
				}
			}
		}
		if n > most {
			t.Errorf("%s has %d lines of code", row[1], n)
		}
	}
}

// TestDocuments compiles all Go code in the documents, in a separate module that is set up as the guide says.
func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	n := 0
	for _, file := range []string{"docs/go.md", "README.md"} {
		list := blocks(t, file)
		if len(list) == 0 {
			t.Errorf("%s: no Go found", file)
		}
		for _, b := range list {
			source, err := b.source()
			if err != nil {
				t.Error(err)
				continue
			}
			n++
			sub := filepath.Join(dir, fmt.Sprintf("b%02d", n))
			if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(sub, "block.go"), []byte(source), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	// Use the checksums of this module, since nothing may be downloaded.
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, "mod", "init", "guide")
	goCommand(t, dir, "mod", "edit", "-require=moonbridge@v0.0.0", "-replace=moonbridge="+here)
	goCommand(t, dir, "vet", "-mod=mod", "./...")
}

// TestDocumentsAreFormatted checks that the code is formatted with gofmt.
func TestDocumentsAreFormatted(t *testing.T) {
	for _, file := range []string{"docs/go.md", "README.md"} {
		for _, b := range blocks(t, file) {
			cmd := exec.Command("gofmt")
			cmd.Stdin = strings.NewReader(b.text)
			out, err := cmd.Output()
			if err != nil || string(out) != b.text {
				t.Errorf("%s:%d: not formatted (%v); gofmt has\n%s", b.file, b.line, err, out)
			}
		}
	}
}

// goCommand runs the go command, without the network.
func goCommand(t *testing.T, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "PWD="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
