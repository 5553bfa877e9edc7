package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/cmd/mbserve/crash"
)

// failing is a server whose requests fail.
type failing struct {
	*instance
	dir    string // of the records
	ticked string // the file that its timer makes
}

func startFailing(t *testing.T, args ...string) *failing {
	t.Helper()
	base := t.TempDir()
	f := &failing{dir: filepath.Join(base, "crashes"), ticked: filepath.Join(base, "ticked")}
	f.instance = start(t, append(append([]string{"--crash-dir", f.dir}, args...), "testdata/crash.lua", f.ticked)...)
	return f
}

// post sends a form that has secrets.
func (f *failing) post(listener int, path string) int {
	f.t.Helper()
	req, err := http.NewRequest("POST", "http://"+f.address(listener)+path, strings.NewReader("what=luck&password=hush&iban=DE1"))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", "session=hush")
	resp, _, err := do(newClient(f.t), req)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode
}

// file is the record that a line of the log names.
func (f *failing) file(parts ...string) string {
	f.t.Helper()
	id := field(f.wait(append(parts, " crash=")...), "crash")
	var names []string
	eventually(f.t, "the record "+id, func() bool {
		names, _ = filepath.Glob(filepath.Join(f.dir, "*-"+id+".json"))
		return len(names) == 1
	})
	return names[0]
}

// An error of Lua, a crash in C and an endless loop leave a record each, which is enough to see them again when the server is gone.
func TestCrashRecords(t *testing.T) {
	t.Parallel()
	f := startFailing(t, "--crash-mask", "IBAN", "--stats", "--admin", loopbackPort)
	eventually(t, "a tick", func() bool { _, err := os.Stat(f.ticked); return err == nil })
	for _, c := range []struct {
		status, listener int
		path             string
	}{{500, 0, "/error?token=hush"}, {502, 0, "/crash"}, {504, 1, "/loop"}, {504, 0, "/limit"}} {
		if got := f.post(c.listener, c.path); got != c.status {
			t.Errorf("status %d, want %d", got, c.status)
		}
	}
	if r := readRecord(t, f.file(": timeout: still running")); r.Cause != "error" || !strings.Contains(string(r.Request.Head), "/limit") {
		t.Errorf("%+v", r)
	}
	files := []string{f.file("no luck"), f.file("worker ended", "SIGSEGV"), f.file("request_timeout: ending the worker")}
	if f.file("worker ended", "request_timeout") != files[2] {
		t.Error("the lines of a time limit name different records")
	}
	eventually(t, "all are counted", func() bool { return f.figures()[`moonbridge_crash_records_total{result="written"}`] == 4 })
	f.stop()
	if line := f.wait(`msg="crash records"`); !containsAll(line, []string{"written=4", "failed=0", "dropped=0", "files=4"}) {
		t.Error(line)
	}
	os.Remove(f.ticked)
	for i, want := range []crash.Record{
		{Cause: "error", Message: "testdata/crash.lua:9: no luck"},
		{Cause: "signal SIGSEGV", Worker: crash.Worker{End: "signal SIGSEGV"}},
		{Cause: "request_timeout", Message: "request_timeout: still running, ending the worker", Worker: crash.Worker{End: "signal SIGKILL"}},
	} {
		r := readRecord(t, files[i])
		if i == 2 && r.Message == "" {
			want.Message = "" // on a busy machine it may be too late for a traceback
		}
		if r.Cause != want.Cause || r.Message != want.Message || r.Worker.End != want.Worker.End || r.Server.Script != "testdata/crash.lua" {
			t.Errorf("%+v", r)
		}
		if (want.Message == "") == (len(r.Traceback) > 0) || i == 1 && r.NoCore == "" && len(r.Backtrace) == 0 {
			t.Errorf("traceback %q, backtrace %q, %q", r.Traceback, r.Backtrace, r.NoCore)
		}
		replayed(t, exitFailedAgain, []string{"failed   " + want.Cause + " (as recorded)", "masked   "}, files[i])
	}
	if r := readRecord(t, files[0]); !slices.Contains(r.Log, "about to fail") && len(r.Log) > 0 {
		t.Errorf("log %q", r.Log)
	}
	if _, err := os.Stat(f.ticked); err == nil {
		t.Error("timers tick in a replay")
	}
	replayed(t, exitOK, []string{"HTTP/1.1 200 OK", "Hello, world!", "not failed"}, "--to", "testdata/hello.lua", files[0])
	replayed(t, exitFailedAgain, []string{"504 Gateway Timeout", "failed   request_timeout (recorded: error)"}, "--timeout", "0.1", "--to", "testdata/sleepless.lua", files[0])
	replayed(t, exitStart, nil, "--to", "testdata/hello.lua", files[2]) // it has no second listen{} call
}

// readRecord reads a record that must not have the secrets of the requests.
func readRecord(t *testing.T, name string) *crash.Record {
	t.Helper()
	r, err := crash.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); strings.Contains(string(b), "hush") || strings.Contains(string(b), "DE1") {
		t.Errorf("%s has a secret:\n%s", name, b)
	}
	if !strings.Contains(string(r.Request.Body), "what=luck&password=***&iban=***") || !slices.Contains(r.Request.Masked, "Cookie") || r.Request.Cut {
		t.Errorf("%+v", r.Request)
	}
	return r
}

// replayed runs a replay and looks for texts in its output.
func replayed(t *testing.T, code int, want []string, args ...string) {
	t.Helper()
	stdout, stderr := runToEnd(t, code, append([]string{"replay"}, args...)...)
	if !containsAll(stdout, want) || (stderr == "") != (code != exitStart && code != exitUsage) {
		t.Errorf("%q:\n%s%s", args, stdout, stderr)
	}
}

// With --crash-unmasked, secrets are in the record, and the replayed request has them.
func TestCrashUnmasked(t *testing.T) {
	t.Parallel()
	f := startFailing(t, "--crash-unmasked")
	f.post(0, "/error")
	r, err := crash.Read(f.file("no luck"))
	if err != nil || len(r.Request.Masked) > 0 || !strings.Contains(string(r.Request.Head), "session=hush") || !strings.Contains(string(r.Request.Body), "hush") {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestReplayRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.json")
	os.WriteFile(other, []byte(`{"format":"moonbridge crash 1","kind":"interval","name":"tick"}`), 0o600)
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "no file given", nil},
		{exitUsage, "unknown flag", []string{"--nonsense", "f"}},
		{exitStart, "no such file", []string{filepath.Join(dir, "none")}},
		{exitStart, "no record", []string{"testdata/hello.lua"}},
		{exitStart, "only HTTP requests can be replayed", []string{other}},
	} {
		if _, stderr := runToEnd(t, c.code, append([]string{"replay"}, c.args...)...); !strings.Contains(stderr, c.want) {
			t.Errorf("%q: %q", c.args, stderr)
		}
	}
	if stdout, _ := runToEnd(t, 0, "replay", "--help"); !strings.Contains(stdout, "Usage: mbserve replay") {
		t.Error(stdout)
	}
}

func TestCrashOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "need --crash-dir", []string{"--crash-files", "5"}},
		{exitUsage, "need --crash-dir", []string{"--crash-unmasked"}},
		{exitUsage, "--crash-files must be", []string{"--crash-dir", "d", "--crash-files", "0"}},
		{exitUsage, "--crash-bytes must be", []string{"--crash-dir", "d", "--crash-bytes", "0"}},
		{exitUsage, "cannot be used together", []string{"--crash-dir", "d", "--crash-mask", "x", "--crash-unmasked"}},
		{exitStart, "--crash-dir: ", []string{"--crash-dir", "testdata/hello.lua"}},
	} {
		if _, stderr := runToEnd(t, c.code, append(c.args, "testdata/hello.lua")...); !strings.Contains(stderr, c.want) {
			t.Errorf("%q: %q", c.args, stderr)
		}
	}
	if _, stderr := runToEnd(t, exitUsage, "--crash-dir", "d", "--static", "testdata"); !strings.Contains(stderr, "there are no workers") {
		t.Error(stderr)
	}
}

// With --gdb, the debugger has the worker when the request comes, and sees it crash.
func TestReplayGDB(t *testing.T) {
	t.Parallel()
	f := startFailing(t)
	f.post(0, "/crash")
	file := f.file("worker ended", "SIGSEGV")
	if _, err := exec.LookPath("gdb"); err != nil {
		t.Skip("gdb is not installed")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdin.WriteString("bt 3\nkill\nquit\n")
	stdin.Seek(0, 0)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "replay", "--gdb", file)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), envServer+"="+newMark(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Stdin = stdin
	out, _ := cmd.CombinedOutput()
	text := string(out)
	if regexp.MustCompile(`ptrace: Operation not permitted|Could not attach`).MatchString(text) {
		t.Skip("a debugger may not attach here")
	}
	if !containsAll(text, []string{"received signal SIGSEGV", "#0 ", "\nfailed "}) || cmd.ProcessState.ExitCode() != exitFailedAgain {
		t.Errorf("exit code %v:\n%s", cmd.ProcessState, text)
	}
}

// Without gdb, --gdb says so.
func TestReplayWithoutGDB(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := launchWith(t, program, nil, []string{"PATH=" + t.TempDir()}, "replay", "--gdb", "testdata/hello.lua")
	s.exit(exitStart)
	if text := s.log.all(t); !strings.Contains(text, "gdb is not installed") {
		t.Error(text)
	}
}
