package program

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"moonbridge/benchmarks/internal/servers"
)

func parse(s *servers.Settings, errout io.Writer, line string) (name string, err error) {
	f := NewFlags("trial", "Tries something.", s, errout)
	f.Mbserve()
	f.Options("min_fork=1")
	f.Report(&name, "trial")
	err = f.Parse(strings.Fields(line))
	return name, err
}

func TestFlags(t *testing.T) {
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var s servers.Settings
	name, err := parse(&s, io.Discard, "")
	if err != nil || name != "trial" || s.Benchmarks != dir || s.Mbserve != filepath.Join(filepath.Dir(dir), "bin", "mbserve") ||
		!slices.Equal(s.MbserveOptions, []string{"min_fork=1"}) {
		t.Errorf("defaults: %q, %+v, %v", name, s, err)
	}
	name, err = parse(&s, io.Discard, "-name - -dir "+dir+" -mbserve-options a=1,b=2 -mbserve-flags --debug -mbserve x")
	if err != nil || name != "-" || !slices.Equal(s.MbserveOptions, []string{"a=1", "b=2"}) ||
		!slices.Equal(s.MbserveFlags, []string{"--debug"}) || !filepath.IsAbs(s.Mbserve) {
		t.Errorf("got %q, %+v, %v", name, s, err)
	}
	for _, line := range []string{"stray", "-name ../x", "-name=", "-dir /", "-unknown"} {
		if _, err := parse(&s, io.Discard, line); err == nil {
			t.Errorf("%s: accepted as %+v", line, s)
		}
	}
	var help bytes.Buffer
	if _, err := parse(&s, &help, "-help"); err == nil || !strings.Contains(help.String(), "usage: trial [flags]\n\nTries something.\n\nflags:\n") {
		t.Errorf("help: %v\n%s", err, help.String())
	}
}

func TestReportIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := Report(dir, "trial", func(io.Writer) {}); err == nil {
		t.Error("no error without a folder for it")
	}
	if err := os.Mkdir(filepath.Join(dir, "results"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Report(dir, "trial", func(to io.Writer) { io.WriteString(to, "\nfigures\n") }); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "results", "*-trial.txt"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || !strings.HasPrefix(string(text), "date ") || !strings.HasSuffix(string(text), "\nfigures\n") {
		t.Errorf("%v\n%s", err, text)
	}
}
