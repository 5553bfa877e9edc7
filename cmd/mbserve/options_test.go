package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"moonbridge/handler/worker"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"-h"}, {"-d", "-h", "script.lua"}} {
		stdout, stderr := runToEnd(t, 0, args...)
		if !containsAll(stdout, []string{"Usage: mbserve", "--grace", "TERM", "Exit codes"}) || stderr != "" {
			t.Errorf("%q: %q, %q", args, stdout, stderr)
		}
		for line := range strings.Lines(stdout) {
			if utf8.RuneCountInString(line) > 81 {
				t.Errorf("a line of %d characters: %s", len(line), line)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--version"}, {"-v"}, {"-v", "script.lua"}} {
		stdout, stderr := runToEnd(t, 0, args...)
		if !strings.HasPrefix(stdout, "mbserve ") || !strings.Contains(stdout, " ("+worker.Version()+", ") || stderr != "" {
			t.Errorf("%q: %q, %q", args, stdout, stderr)
		}
	}
}

func TestBadCommandLine(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{nil, "no script given"},
		{[]string{"--"}, "no script given"},
		{[]string{"-d"}, "no script given"},
		{[]string{"--nonsense", "testdata/hello.lua"}, "--nonsense"},
		{[]string{"-x", "testdata/hello.lua"}, "'x'"},
		{[]string{"--port", "80", "testdata/hello.lua"}, "unknown flag: --port: ports are in the script: listen{"},
		{[]string{"--workers=4", "testdata/hello.lua"}, "min_fork = 4"},
		{[]string{"--acces-log", "-", "testdata/hello.lua"}, "(did you mean --access-log?)\n      --access-log FILE     write a line"},
		{[]string{"--watch=[", "testdata/hello.lua"}, "malformed pattern"},
		{[]string{"--watch=", "testdata/hello.lua"}, "the path is empty"},
		{[]string{"--grace", "soon", "testdata/hello.lua"}, "soon"},
		{[]string{"--grace", "-1s", "testdata/hello.lua"}, "not a number of seconds"},
		{[]string{"--grace", "-1", "testdata/hello.lua"}, "not between 0 and"},
		{[]string{"--grace"}, "--grace"},
		{[]string{"--loops", "-1", "testdata/hello.lua"}, "--loops must be between"},
		{[]string{"--loops", "100000", "testdata/hello.lua"}, "--loops must be between"},
		{[]string{"--fill-loops", "-1", "testdata/hello.lua"}, "--fill-loops must be 0 or more"},
		{[]string{"-l"}, "'l'"},
		{[]string{"--grace", "2562047h", "testdata/hello.lua"}, "not between 0 and"},
		{[]string{"--user", "", "testdata/hello.lua"}, "--user: the value is empty"},
		{[]string{"--pidfile=", "testdata/hello.lua"}, "--pidfile: the value is empty"},
		{[]string{"--selftest", "", "testdata/hello.lua"}, "--selftest: the value is empty"},
		{[]string{"--crash-dir", "x", "--crash-mask", "word", "--crash-mask", "", "testdata/hello.lua"}, "--crash-mask: the value is empty"},
		{[]string{"new", ""}, "usage: mbserve new DIRECTORY"},
		{[]string{"test", "--junit", "", "testdata/hello.lua"}, "--junit: the value is empty"},
		{[]string{"test", "testdata/tested.lua", ""}, "the name of a file is empty"},
		{[]string{"replay", "--to", "", "record"}, "--to: the value is empty"},
		{[]string{"--static", ""}, "--static: the value is empty"},
		{[]string{"--static", ".", "--listen", ""}, "--listen: the value is empty"},
		{[]string{""}, "no script given"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			stdout, stderr := runToEnd(t, 1, test.args...)
			parts := []string{test.want, "Try 'mbserve --help'"}
			if len(test.args) > 0 && runners[test.args[0]] != nil {
				parts = parts[:1] // it has a help of its own
			}
			checkMessage(t, stderr, parts...)
			if stdout != "" {
				t.Errorf("standard output %q", stdout)
			}
		})
	}
}

// -t loads the script and shows its pools and listeners, without binding any.
func TestCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	stdout, stderr := runToEnd(t, 0, "-t", "testdata/check.lua", path)
	want := "a line on standard output\n" +
		"pool 0: 4 to 5 workers, 3 spare\n" +
		"  tcp4 0.0.0.0:80\n" +
		"  tcp6 [::1]:80\n" +
		"  tcp 192.0.2.1:80\n" +
		"  local " + path + "\n" +
		"pool 1: 1 to 1 workers, 1 spare\n" +
		"  interval \"clean\"\n" +
		"  tcp4 0.0.0.0:7, raw connections\n" +
		"testdata/check.lua: OK\n"
	if stdout != want || stderr != "" {
		t.Errorf("standard output %q, want %q; standard error %q", stdout, want, stderr)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a socket was created")
	}
}

func TestCheckBadScript(t *testing.T) {
	t.Parallel()
	stdout, stderr := runToEnd(t, 3, "--check", "testdata/bad/syntax.lua")
	checkMessage(t, stderr, "testdata/bad/syntax.lua:4:")
	if stdout != "" {
		t.Errorf("standard output %q", stdout)
	}
	_, stderr = runToEnd(t, 3, "-t", "testdata/bad/no_listen.lua")
	checkMessage(t, stderr, "has not called listen")
	_, stderr = runToEnd(t, 3, "-t", "testdata/missing.lua")
	checkMessage(t, stderr, "cannot open testdata/missing.lua: no such file or directory")
}

// A check can be interrupted, and leaves nothing behind.
func TestCheckInterrupted(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := launch(t, "-t", "testdata/loading.lua", fifo)
	s.wait("loading")
	s.signal(syscall.SIGINT)
	s.exit(3)
	s.wait("stopped while the script was loading")
}

func TestScriptArguments(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"testdata/args.lua"}, "0: 0:testdata/args.lua|"},
		{[]string{"testdata/args.lua", "a", "b c", ""}, "3:a|b c| 3:testdata/args.lua|a|b c|"},
		{[]string{"-d", "testdata/args.lua", "-d", "--grace", "--", "-x"}, "4:-d|--grace|--|-x 4:testdata/args.lua|-d|--grace|--|-x"},
		{[]string{"--", "testdata/args.lua", "--help"}, "1:--help 1:testdata/args.lua|--help"},
		{[]string{"--grace=1s", "--", "testdata/args.lua", "--", "x"}, "2:--|x 2:testdata/args.lua|--|x"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			s := start(t, test.args...)
			if got := get(t, s.url("/")); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPidFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(name, []byte("1234567890\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-p", name, "testdata/hello.lua")
	want := fmt.Sprintf("%d\n", s.pid())
	if text, err := os.ReadFile(name); err != nil || string(text) != want {
		t.Errorf("pid file %q, %v, want %q", text, err, want)
	}
	_, stderr := runToEnd(t, 2, "--pidfile", name, "testdata/hello.lua")
	checkMessage(t, stderr, "pid file "+name+": in use by a running server")
	if text, _ := os.ReadFile(name); string(text) != want {
		t.Errorf("pid file %q after another server has tried, want %q", text, want)
	}
	// Only the server holds the lock: its child processes do not hold it after it has exited.
	s.stop()
	if _, err := os.Lstat(name); err == nil {
		t.Error("the pid file still exists")
	}
	runToEnd(t, 3, "-p", name, "testdata/bad/error.lua")
	if _, err := os.Lstat(name); err == nil {
		t.Error("the pid file still exists after an error at start")
	}
	_, stderr = runToEnd(t, 3, "-p", filepath.Join(name, "pid"), "testdata/hello.lua")
	checkMessage(t, stderr, "pid file "+filepath.Join(name, "pid")+": no such file or directory")
}

// A file that is no pid file is not overwritten. What a server, or a crash of the machine, has left is.
func TestPidFileHasSomethingElse(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pid")
	for _, text := range []string{"listen{}\n", "x", "-1\n", "12 13\n", strings.Repeat("1", 17), strings.Repeat("long ", 2000)} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr := runToEnd(t, 3, "-p", name, "testdata/hello.lua")
		checkMessage(t, stderr, "pid file "+name+": is not a pid file")
		if now, err := os.ReadFile(name); err != nil || string(now) != text {
			t.Errorf("%.20q has become %.20q, %v", text, now, err)
		}
	}
	for _, text := range []string{"", "\n", "12", " 12\n", "1234567\n\n\n", "\x00\x00\x00\x00"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := writePidFile(name, plain, nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if now, err := os.ReadFile(name); err != nil || string(now) != fmt.Sprintln(os.Getpid()) {
			t.Errorf("%q has become %q, %v", text, now, err)
		}
		p.remove(nil)
	}
}

// The file that a link leads to is removed at the end, and made again by the next server. The link stays.
func TestPidFileIsALink(t *testing.T) {
	t.Parallel()
	if _, err := os.Lstat("/proc/self/fd"); err != nil {
		t.Skip("needs /proc")
	}
	dir := t.TempDir()
	name, file := filepath.Join(dir, "link"), filepath.Join(dir, "pid")
	if err := os.Symlink("pid", name); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := start(t, "-p", name, "testdata/hello.lua")
		if text := read(file); text != fmt.Sprintln(s.pid()) {
			t.Errorf("%q", text)
		}
		s.stop()
		if _, err := os.Lstat(file); !os.IsNotExist(err) {
			t.Errorf("the pid file: %v", err)
		}
		if _, err := os.Lstat(name); err != nil {
			t.Error(err)
		}
	}
}

func TestPidFileIsADevice(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pid")
	if err := os.Symlink(os.DevNull, name); err != nil {
		t.Fatal(err)
	}
	_, stderr := runToEnd(t, 3, "-p", name, "testdata/hello.lua")
	checkMessage(t, stderr, "pid file "+name+": is not a regular file")
	if _, err := os.Lstat(name); err != nil {
		t.Error(err)
	}
}

// The pid file of a killed server does not prevent a start.
func TestPidFileOfKilledServer(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pid")
	s := start(t, "-p", name, "testdata/hello.lua")
	s.signal(syscall.SIGKILL)
	s.exit(-1)
	if _, err := os.Lstat(name); err != nil {
		t.Error(err)
	}
	s = start(t, "-p", name, "testdata/hello.lua")
	if text, err := os.ReadFile(name); err != nil || string(text) != fmt.Sprintf("%d\n", s.pid()) {
		t.Errorf("pid file %q, %v", text, err)
	}
}

// fileLog waits for a line that contains all parts in the log file of a server.
func fileLog(t *testing.T, name string, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a line with %q in %s", parts, name), func() bool {
		text, _ := os.ReadFile(name)
		for line := range strings.Lines(string(text)) {
			if containsAll(line, parts) {
				return true
			}
		}
		return false
	})
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, moved := filepath.Join(dir, "log"), filepath.Join(dir, "log.1")
	if err := os.WriteFile(name, []byte("what was there before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := launch(t, "--logfile", name, "testdata/log.lua")
	fileLog(t, name, "msg=ready")
	fileLog(t, name, "what was there before")
	text, _ := os.ReadFile(name)
	url := "http://" + field(string(text), "address")[len("http://"):]

	// The file has not been moved, so USR1 changes nothing.
	s.signal(syscall.SIGUSR1)
	get(t, url+"?first")
	fileLog(t, name, "first", "pool=0", "pid=")

	if err := os.Rename(name, moved); err != nil {
		t.Fatal(err)
	}
	get(t, url+"?second")
	fileLog(t, moved, "second")
	s.signal(syscall.SIGUSR1)
	eventually(t, "a new log file", func() bool { _, err := os.Stat(name); return err == nil })
	get(t, url+"?third")
	fileLog(t, name, "third")
	if text, _ := os.ReadFile(moved); strings.Contains(string(text), "third") {
		t.Error("the old file is still being written to")
	}

	_, stderr := runToEnd(t, 2, "-l", name, "testdata/hello.lua")
	checkMessage(t, stderr, "log file "+name+": in use by a running server")
	// The old file is no longer locked.
	runToEnd(t, 3, "-l", moved, "testdata/bad/error.lua")

	s.stop()
	fileLog(t, name, "msg=stopped")
	if text := s.log.all(t); text != "" {
		t.Errorf("standard error has %q", text)
	}
}

// A device is not locked: any number of servers may log to it.
func TestLogDevice(t *testing.T) {
	t.Parallel()
	for range 2 {
		f, err := newLogFile("log file", os.DevNull, true, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.f.Close()
		if err := f.reopenNow(); err != nil {
			t.Error(err)
		}
	}
	s := start(t, "-l", "/dev/stderr", "testdata/hello.lua")
	s.signal(syscall.SIGUSR1)
	get(t, s.url("/"))
	s.stop()
	s.wait("msg=stopped")
}

// If the new file cannot be opened, the old one stays in use and contains an error.
func TestLogFileNotReopened(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := launch(t, "-l", filepath.Join(dir, "log"), "testdata/hello.lua")
	fileLog(t, filepath.Join(dir, "log"), "msg=ready")
	if err := os.Rename(dir, dir+".1"); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	fileLog(t, filepath.Join(dir+".1", "log"), "log file not reopened", "no such file or directory")
	s.stop()
	fileLog(t, filepath.Join(dir+".1", "log"), "msg=stopped")
}

func TestLogFileUnusable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stderr := runToEnd(t, 3, "-l", filepath.Join(dir, "none", "log"), "testdata/hello.lua")
	checkMessage(t, stderr, "log file "+filepath.Join(dir, "none", "log")+": no such file or directory")
	_, stderr = runToEnd(t, 3, "-l", dir, "testdata/hello.lua")
	checkMessage(t, stderr, "log file "+dir+": is a directory")
}

func TestDebugAndStats(t *testing.T) {
	t.Parallel()
	s := start(t, "-d", "-s", "--loops", "3", "--no-pairing", "testdata/hello.lua")
	if loops := field(s.wait("msg=ready"), "loops"); loops != "3" {
		t.Errorf("%s loops, want 3", loops)
	}
	for range 5 {
		get(t, s.url("/"))
	}
	s.stop()
	line := s.wait("msg=stats")
	if field(line, "pool") != "0" || field(line, "exchanges") != "5" || field(line, "deaths") != "0" || field(line, "lost") != "0" {
		t.Errorf("stats %q", line)
	}
	s.wait("level=DEBUG")
}
