package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestBlocks(t *testing.T) {
	tests := []struct{ markdown, want string }{
		{"one\ntwo *three* **four** `-x`", ".PP\none two \\fIthree\\fR \\fBfour\\fR \\fB\\-x\\fR\n"},
		{"## A `b`", ".SH \"A B\"\n"},
		{"#### deep", ".PP\n\\fBdeep\\fR\n"},
		{"see [the text](file.md#there) or <https://example.org>", ".PP\nsee the text or https://example.org\n"},
		{"- one\n  more\n- two", ".IP \\(bu 4\none more\n.IP \\(bu 4\ntwo\n"},
		{"1. one\n2. two", ".IP 1. 4\none\n.IP 2. 4\ntwo\n"},
		{"- a mode of\n  0700. Then\n- it is\n503. three", ".IP \\(bu 4\na mode of 0700. Then\n.IP \\(bu 4\nit is\n.IP 503. 4\nthree\n"},
		{"it is answered with\n503. Then\n1. one", ".PP\nit is answered with 503. Then\n.IP 1. 4\none\n"},
		{"1. one", ".IP 1. 4\none\n"},
		{"```sh\n.dot\n\\back *no*\n```", ".PP\n.RS 4\n.nf\n\\&.dot\n\\(rsback *no*\n.fi\n.RE\n"},
		{"| option | meaning |\n|---|---|\n| `-a` | does a |", ".TP\n\\fB\\fB\\-a\\fR\\fR\ndoes a\n"},
		{"| a | b | c |\n|---|---|---|\n| x | y | |", ".TP\n\\fBa: x\\fR\nb: y\n"},
		{".5 is `a*b` and 2 * 3", ".PP\n\\&.5 is \\fBa*b\\fR and 2 * 3\n"},
	}
	for _, tt := range tests {
		p := page{section: 2, subsection: 3}
		p.blocks(parse(tt.markdown))
		if got := p.b.String(); got != tt.want {
			t.Errorf("%q:\n%q, want\n%q", tt.markdown, got, tt.want)
		}
	}
}

// TestPages makes the pages of the real documents. Each option of the table must have its entry, and man must have no complaint.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	if err := write("../../../docs", dir, "1.2.3", "2026-01-02"); err != nil {
		t.Fatal(err)
	}
	operations, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "mbserve.1"))
	if err != nil {
		t.Fatal(err)
	}
	options := regexp.MustCompile("(?m)^\\| (?:`-\\w`, )?`(--[\\w-]+)").FindAllSubmatch(operations, -1)
	if len(options) < 20 {
		t.Fatalf("%d options found", len(options))
	}
	for _, o := range options {
		if !strings.Contains(string(page), escape(string(o[1]))) {
			t.Errorf("mbserve.1 has no %s", o[1])
		}
	}
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip("pages not formatted:", err)
	}
	for _, name := range []string{"mbserve.1", "mbserve-script.5"} {
		cmd := exec.Command(man, "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", filepath.Join(dir, name))
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v %s", name, err, errs.String())
		}
	}
}

// TestMissingChapter: a chapter that has another name now is an error, not a page without it.
func TestMissingChapter(t *testing.T) {
	if _, err := commandPage("# Operations\n\n## Signals\n\ntext\n", "1", "2026-01-02"); err == nil {
		t.Error("no error")
	}
}
