package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func completionOf(t *testing.T, shell string) string {
	t.Helper()
	var out, errs strings.Builder
	if code := run([]string{"--completion", shell}, &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Fatalf("mbserve --completion %s: exit code %d, %s", shell, code, errs.String())
	}
	return out.String()
}

// TestCompletionNamesAllOptions: the script of each shell has all options, and no line that an explanation has broken.
func TestCompletionNamesAllOptions(t *testing.T) {
	for shell, form := range map[string]string{"bash": "--%", "zsh": "--%", "fish": " -l %"} {
		script := completionOf(t, shell)
		for _, c := range commands() {
			if !strings.Contains(script, c.name) {
				t.Errorf("%s: no %q", shell, c.name)
			}
		}
		all := func(f *pflag.Flag) {
			if name := strings.ReplaceAll(form, "%", f.Name); !strings.Contains(script, name) {
				t.Errorf("%s: no %q", shell, name)
			}
		}
		new(options).flags().VisitAll(all)
		new(testOptions).flags().VisitAll(all)
		new(replayOptions).flags().VisitAll(all)
		if shell == "bash" {
			continue
		}
		for line := range strings.Lines(script) {
			if n := strings.Count(line, "'"); n%2 != 0 {
				t.Errorf("%s: %d quotes in %s", shell, n, line)
			}
		}
	}
}

func TestCompletionOfUnknownShell(t *testing.T) {
	var out, errs strings.Builder
	if code := run([]string{"--completion", "tcsh"}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "bash, zsh or fish") {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
}

// TestCompletedWords: the words that are offered for an option are values of it.
func TestCompletedWords(t *testing.T) {
	for name, words := range flagWords {
		for _, word := range words {
			if _, err := parseOptions([]string{"--" + name, word, "main.lua"}); err != nil {
				t.Errorf("--%s %s: %v", name, word, err)
			}
		}
	}
}

// TestCompletionRepeats: zsh offers an option that may be given several times, and no other, after it was given.
func TestCompletionRepeats(t *testing.T) {
	script := completionOf(t, "zsh")
	var got []string
	for line := range strings.Lines(script) {
		if name, ok := strings.CutPrefix(line, "\t'*--"); ok {
			name, _, _ = strings.Cut(name, "=")
			got = append(got, name)
		}
	}
	if !slices.Equal(got, []string{"crash-mask", "watch"}) {
		t.Errorf("%q", got)
	}
}

func TestBashCompletion(t *testing.T) {
	bash := needs(t, "bash")
	dir := t.TempDir()
	for _, name := range []string{"main.lua", "data.txt", "sub/page.lua", "two words.lua"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := completionOf(t, "bash")
	tests := []struct {
		typed []string // after mbserve; bash makes "=" a word of its own
		want  []string
	}{
		{[]string{"--sp"}, []string{"--spool-dir", "--spool-limit"}},
		{[]string{"--log-format", ""}, []string{"text", "json", "plain"}},
		{[]string{"--log-format", "="}, []string{"text", "json", "plain"}},
		{[]string{"--log-format", "=", "j"}, []string{"json"}},
		{[]string{"--scheduling", "n"}, []string{"normal"}},
		{[]string{"--static", ""}, []string{"sub"}},
		{[]string{"--spool-limit", ""}, nil},
		{[]string{"-l", "d"}, []string{"data.txt"}},
		{[]string{"--watch", "=", "d"}, nil},
		{[]string{""}, []string{"main.lua", "new", "replay", "sub", "test", "two words.lua"}},
		{[]string{"re"}, []string{"replay"}},
		{[]string{"new", ""}, []string{"sub"}},
		{[]string{"new", "--"}, nil},
		{[]string{"test", ""}, []string{"main.lua", "sub", "two words.lua"}},
		{[]string{"test", "--t"}, []string{"--tap", "--timeout"}},
		{[]string{"test", "--sp"}, nil},
		{[]string{"test", "--timeout", ""}, nil},
		{[]string{"test", "--junit", "d"}, []string{"data.txt"}},
		{[]string{"test", "--tap", "main.lua", "--ju"}, []string{"--junit"}},
		{[]string{"replay", "d"}, []string{"data.txt"}},
		{[]string{"replay", "--to", "=", ""}, []string{"main.lua", "sub", "two words.lua"}},
		{[]string{"replay", "--t"}, []string{"--timeout", "--to"}},
		{[]string{"main.lua", "test", "--t"}, nil},
		{[]string{"-d", "--grace", "5", "m"}, []string{"main.lua"}},
		{[]string{"--log-format", "=", "json", "--sch"}, []string{"--scheduling"}},
		{[]string{"--", "m"}, []string{"main.lua"}},
		{[]string{"main.lua", "--sp"}, nil},
		{[]string{"main.lua", "da"}, []string{"data.txt"}},
		{[]string{"-u", "roo"}, []string{"root"}},
	}
	for _, tt := range tests {
		cmd := exec.Command(bash, append([]string{"--norc", "-c",
			script + `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mbserve; printf '%s\n' "${COMPREPLY[@]}"`, "bash", "mbserve"}, tt.typed...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		got := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(out) == 0 || string(out) == "\n" {
			got = nil
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("mbserve %q: %q, want %q (%v)", tt.typed, got, tt.want, err)
		}
	}
}
