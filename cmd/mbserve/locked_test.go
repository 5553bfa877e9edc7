package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A second start of a server that runs says so by its exit code, whatever else is in use, too. A start that fails leaves nothing behind.
func TestStartedTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid, socket, other := filepath.Join(dir, "pid"), filepath.Join(dir, "admin"), filepath.Join(dir, "other")
	s := start(t, "-p", pid, "--admin", "unix:"+socket, "testdata/hello.lua")
	for _, admin := range []string{socket, other} {
		_, stderr := runToEnd(t, exitLocked, "-p", pid, "--admin", "unix:"+admin, "testdata/hello.lua")
		checkMessage(t, stderr, "pid file "+pid+": in use by a running server")
	}
	pidOther := filepath.Join(dir, "pid-other")
	_, stderr := runToEnd(t, exitStart, "-p", pidOther, "--admin", "unix:"+other, "--access-log", filepath.Join(dir, "none", "log"), "testdata/hello.lua")
	checkMessage(t, stderr, "access log")
	for _, name := range []string{other, pidOther} {
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	for _, name := range []string{pid, socket} {
		if _, err := os.Lstat(name); err != nil {
			t.Error(err)
		}
	}
	s.stop()
}
