package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// times are the figures of a report that differ from run to run.
var times = regexp.MustCompile(`\((?:[\d.]+(?:µs|ms|s))\)| time="[\d.]+"`)

// testReport runs "mbserve test" and returns its report, without times.
func testReport(t *testing.T, code int, args ...string) (report, log string) {
	t.Helper()
	report, log = runToEnd(t, code, append([]string{"test"}, args...)...)
	return times.ReplaceAllString(report, "(T)"), log
}

func TestTestCommandClient(t *testing.T) {
	t.Parallel()
	report, log := testReport(t, exitOK, "testdata/tested.lua", "testdata/tested_client.lua")
	if !strings.Contains(report, "ok    selftest of pool 1 (T)\n") || !strings.HasSuffix(report, " passed, 0 failed, 0 skipped (T)\n") || strings.Contains(report, "FAIL") {
		t.Errorf("%s\n%s", report, log)
	}
}

func TestTestCommandReports(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "junit.xml")
	report, log := testReport(t, exitTests, "testdata/tested.lua", "--junit", file, "testdata/tested_failing.lua")
	for _, want := range []string{
		"ok    passes (T)\n",
		"FAIL  # fails (T)\n      testdata/tested_failing.lua:8\n      the <page>\n      expected: 200\n           got: 500\n      last request: GET /boom: 500\n      logged for this test:\n        ERROR testdata/tested.lua:",
		": boom\n        stack traceback:\n",
		"FAIL  has an error (T)\n      testdata/tested_failing.lua:10: attempt to index ",
		"skip  is left out (T)\n      not today\n",
		"5 tests: 2 passed, 2 failed, 1 skipped (T)\n",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s\n%s", want, report, log)
		}
	}
	s := readJUnit(t, file)
	if s.Tests != 5 || s.Failures != 2 || s.Skipped != 1 || len(s.Cases) != 5 || s.Cases[2].Name != "# fails" || !strings.Contains(s.Cases[2].Failure, "the <page>") {
		t.Errorf("%+v", s)
	}
}

// junitReport is what a program reads in a report.
type junitReport struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	Cases    []struct {
		Name    string `xml:"name,attr"`
		Failure string `xml:"failure"`
		Error   string `xml:"error"`
	} `xml:"testcase"`
}

func readJUnit(t *testing.T, file string) junitReport {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suite junitReport `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return suites.Suite
}

func TestTestCommandTAP(t *testing.T) {
	t.Parallel()
	report, _ := testReport(t, exitTests, "--tap", "testdata/tested.lua", "testdata/tested_failing.lua")
	for _, want := range []string{
		"TAP version 13\nok 1 - selftest of pool 1\nok 2 - passes\nnot ok 3 - \\# fails\n  ---\n  at: 'testdata/tested_failing.lua:8'\n  message: |\n    ",
		"\n    expected: 200\n         got: 500\n", "\n  ...\nnot ok 4 - has an error\n", "\n  ...\nok 5 - is left out # SKIP not today\n1..5\n",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
}

// Tests that cannot be run, or not to their end.
func TestTestCommandBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hello := write("hello.lua", `listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 1, max_fork = 1, connect = require("moonbridge_http").generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("Hello")
	end) }`)
	kase := `local test = require "moonbridge.test"; test.case("one", function(client) `
	tests := []struct {
		name, text, want string
		code             int
		args             []string
	}{
		{"syntax", "this is wrong", "syntax.lua:1: ", exitStart, nil},
		{"error", "error('no')", "error.lua:1: no", exitStart, nil},
		{"none", "", "it has no test.case", exitStart, nil},
		{"name", `require("moonbridge.test").case(1)`, "test.case: a name and a function expected", exitStart, nil},
		{"listen", `listen{}`, "listen() must be called by the script itself", exitStart, nil},
		{"exit", kase + "os.exit(7) end)", "FAIL  one (T)\n      tests: the process has ended: exit status 7\n", exitTests, nil},
		{"exit well", kase + "end) test.case('two', function() os.exit() end) test.case('three', function() error('no') end)",
			"ok    one (T)\nFAIL  two (T)\n      tests: the process has ended before its tests: exit status 0\n2 tests: 1 passed, 1 failed", exitTests, nil},
		{"exit at once", kase + "end) os.exit(true)", "FAIL  the tests could not be run\n      tests: the process has ended before its tests: exit status 0\n", exitStart, nil},
		{"exit between", `local test = require "moonbridge.test"; test.cases[1] = setmetatable({}, { __index = function() os.exit() end })`,
			"tests: the process has ended before its tests: exit status 0\n", exitStart, nil},
		{"endless", kase + "require('moonbridge_io').poll({}, nil, 600) end)", "FAIL  one (T)\n      tests: not finished in time: ended\n", exitTests, []string{"--timeout", "2"}},
	}
	for _, tt := range tests {
		args := append(tt.args, hello, write(tt.name+".lua", tt.text))
		if report, log := testReport(t, tt.code, args...); !strings.Contains(report, tt.want) {
			t.Errorf("%s: no %q in\n%s\n%s", tt.name, tt.want, report, log)
		}
	}
	// Programs that read a report are told, too.
	file := filepath.Join(dir, "junit.xml")
	for _, args := range [][]string{{hello}, {hello, filepath.Join(dir, "missing.lua")}, {filepath.Join(dir, "missing.lua")}, {write("bad.lua", "error('bad')")}} {
		if report, log := testReport(t, exitStart, args...); !strings.HasPrefix(log, "mbserve: ") || report != "" {
			t.Errorf("%q: %s%s", args, report, log)
		}
		write("junit.xml", "of another run")
		report, log := testReport(t, exitStart, append([]string{"--tap", "--junit", file}, args...)...)
		reason := strings.TrimSuffix(strings.TrimPrefix(log, "mbserve: "), "\n")
		first, _, _ := strings.Cut(reason, "\n")
		if reason == log || !strings.HasPrefix(report, "TAP version 13\nBail out! "+first) || strings.Count(report, "\n") != 2 {
			t.Errorf("%q: %s%s", args, report, log)
		}
		s := readJUnit(t, file)
		if s.Tests != 1 || s.Errors != 1 || s.Failures != 0 || len(s.Cases) != 1 || s.Cases[0].Error != reason || s.Cases[0].Name != "the tests could not be run" {
			t.Errorf("%q: %+v", args, s)
		}
	}
}

func TestTestCommandUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"--tip"}, {"a", "b", "c"}, {"--timeout", "0", "a"}} {
		var out, errs strings.Builder
		if code := run(append([]string{"test"}, args...), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "Try 'mbserve test --help'") {
			t.Errorf("%q: exit code %d\n%s", args, code, errs.String())
		}
	}
	var out, errs strings.Builder
	if code := run([]string{"test", "--help"}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "--junit FILE") {
		t.Errorf("%s%s", out.String(), errs.String())
	}
	o, err := parseTestOptions([]string{"a.lua", "b.lua", "--tap", "--", "--port", "1"})
	if err != nil || o.script != "a.lua" || o.tests != "b.lua" || !o.tap || strings.Join(o.args, " ") != "--port 1" {
		t.Errorf("%+v, %v", o, err)
	}
}
