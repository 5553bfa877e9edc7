package moonbridge_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programsIn makes a directory of programs, which are shell scripts.
func programsIn(t *testing.T, scripts map[string]string) (dir string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the scripts are for Linux here")
	}
	dir = t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// script runs a script with variables, and returns what it says.
func script(t *testing.T, env []string, name string, args ...string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// A checkout whose commit git does not tell can be built: that of another user, for example, which is mounted into a container. The go
// command, which asks git itself unless it is told not to, would fail.
func TestBuildWithoutCommit(t *testing.T) {
	dir := programsIn(t, map[string]string{
		"git": "exit 128",
		"go":  `case "$*" in *-buildvcs=false*) echo "$@" ;; *) echo error obtaining VCS status; exit 1 ;; esac`,
	})
	said, ok := script(t, []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "GOFLAGS="}, "scripts/build", "luajit", filepath.Join(dir, "mbserve"))
	if !ok || !strings.Contains(said, "main.version=unknown") {
		t.Error(said)
	}
}

// What only tests use need not be there for a build: a machine without a network builds what it can.
func TestDepsWithoutNetwork(t *testing.T) {
	for _, lacks := range []string{"", "luajit", "lua5.4"} {
		dir := programsIn(t, map[string]string{
			"id": "echo 0", "dpkg-query": "exit 1", "apt-cache": "echo Package: $2", "apt-get": "exit 100", "go": "exit 0", "pebble": "exit 0",
			"pkg-config": `[ "$2" != "` + lacks + `" ]`,
		})
		for lua, pc := range map[string]string{"luajit": "luajit", "lua54": "lua5.4"} {
			said, ok := script(t, []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "CC=true"}, "scripts/deps", lua)
			if ok != (lacks != pc) || !strings.Contains(said, "valgrind") {
				t.Errorf("for %s, without %q: %v\n%s", lua, lacks, ok, said)
			}
		}
	}
}

// A release that lacks a package that tests use has the others all the same.
func TestDepsOfOtherReleases(t *testing.T) {
	dir := programsIn(t, map[string]string{
		"id": "echo 0", "dpkg-query": "exit 1", "go": "exit 0", "pebble": "exit 0", "pkg-config": "exit 0",
		"apt-cache": `[ "$2" = valgrind ] || echo Package: $2`, "apt-get": `case "$*" in *valgrind*) exit 100 ;; *lua-cjson*) echo installed >&2 ;; esac`,
	})
	said, ok := script(t, []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "CC=true"}, "scripts/deps")
	if !ok || !strings.Contains(said, "installed") {
		t.Error(said)
	}
}

// make install works without the go command, which root may not find.
func TestInstallWithoutGo(t *testing.T) {
	dir := programsIn(t, map[string]string{"mbserve": `echo "mbserve 1.2.3 (for a test)"`})
	for _, name := range []string{"sh", "dirname", "install", "sed", "chmod", "cut", "date", "mktemp", "rm", "gzip"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(dir, "to")
	said, ok := script(t, []string{"PATH=" + dir, "DESTDIR=" + to, "PREFIX=/usr", "BINARY=" + filepath.Join(dir, "mbserve")}, "scripts/install")
	if !ok {
		t.Fatal(said)
	}
	if _, err := os.Stat(to + "/usr/share/doc/moonbridge/packaging/kubernetes.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(to + "/usr/share/man/man1/mbserve.1.gz"); err != nil && !strings.Contains(said, "manual pages") {
		t.Errorf("%v, and not a word of it: %s", err, said)
	}
}

// What is meant for another root does not get into this one: DESTDIR is that of the environment, too.
func TestInstallIntoAnotherRoot(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip(err)
	}
	if said, ok := script(t, []string{"DESTDIR=/another/root", "MAKEFLAGS="}, "make", "-n", "install"); !ok || !strings.Contains(said, "DESTDIR='/another/root'") {
		t.Error(said)
	}
}

// Two commands run at once: each waits for the other here. What the first says comes last, and a failure of either is one of both. The
// first hears an interrupt, which a command in the background would ignore, and does not outlive the second.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := exec.Command("mkfifo", filepath.Join(dir, name)).Run(); err != nil {
			t.Skip("no mkfifo: ", err)
		}
	}
	env := []string{"DIR=" + dir}
	said, ok := script(t, env, "scripts/beside", `echo first; : >"$DIR/a"; : <"$DIR/b"`, `: <"$DIR/a"; echo second; : >"$DIR/b"`)
	if !ok || said != "second\nfirst\n" {
		t.Errorf("%q, %v", said, ok)
	}
	for _, c := range [][3]string{
		{"echo x; exit 1", "true", "x\nfailed: echo x; exit 1\n"},
		{"echo x", "exit 2", "x\nfailed: exit 2\n"},
		{"kill -INT $$; echo ignored", "true", "failed: kill -INT $$; echo ignored\n"},
	} {
		if strings.HasPrefix(c[0], "kill -INT") && signal.Ignored(syscall.SIGINT) {
			continue // by what has started this test, in the background. Nothing that it starts can change that
		}
		if said, ok := script(t, env, "scripts/beside", c[0], c[1]); ok || !strings.HasSuffix(said, c[2]) {
			t.Errorf("%q: %q, %v", c[:2], said, ok)
		}
	}
	said, ok = script(t, env, "scripts/beside", `echo $$ >"$DIR/a"; exec sleep 1000`, `read -r pid <"$DIR/a"; echo "$pid"; kill -TERM $PPID`)
	if ok {
		t.Error("it has survived its end")
	}
	first, _, _ := strings.Cut(said, "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatalf("%q", said)
	}
	runs := func() bool { // it is nobody's child now: in a container, perhaps nobody asks for its end
		stat, err := os.ReadFile(filepath.Join("/proc", first, "stat"))
		return syscall.Kill(pid, 0) == nil && (err != nil || !strings.Contains(string(stat), ") Z "))
	}
	for end := time.Now().Add(time.Minute); runs(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the first command runs on")
		}
	}
}
