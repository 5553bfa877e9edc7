package main

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A start that waits for a file, here a FIFO without a writer, as for a disk that does not answer, is ended by TERM.
func TestStopWhileStartHangs(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script.lua")
	if err := syscall.Mkfifo(script, 0o600); err != nil {
		t.Fatal(err)
	}
	s := launch(t, script)
	defer syscall.Close(awaitReader(t, script))
	s.signal(syscall.SIGTERM)
	s.exit(0)
}

// awaitReader waits until somebody reads a FIFO, who waits for something to read until the descriptor is closed.
func awaitReader(t *testing.T, name string) (fd int) {
	t.Helper()
	eventually(t, name+" is read", func() bool {
		var err error
		fd, err = syscall.Open(name, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	})
	return fd
}

// So is one that waits for a file that is read when the script has run, here that of the authorities of a route.
func TestStopWhilePrepareHangs(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	a.write(`@ listen{ port, routes = { ["/api/"] = { proxy = "https://127.0.0.1:1", ca = %q } }, connect = say("x") }`, file)
	s := launch(t, a.script)
	defer syscall.Close(awaitReader(t, file))
	s.signal(syscall.SIGTERM)
	s.exit(exitStart)
	s.wait("stopped although the start hangs")
}
