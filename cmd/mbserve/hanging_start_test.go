package main

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A start that waits for a file, here a FIFO without a writer, as for a disk that does not answer, is ended by TERM.
func TestStopWhileStartHangs(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script.lua")
	if err := syscall.Mkfifo(script, 0o600); err != nil {
		t.Fatal(err)
	}
	s := launch(t, script)
	eventually(t, "the start has begun", func() bool {
		fd, err := syscall.Open(script, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false // nobody is waiting for it
		}
		syscall.Close(fd)
		return true
	})
	s.signal(syscall.SIGTERM)
	<-s.exited
	s.ended = true
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
	fd := -1
	eventually(t, "the file is read", func() (ok bool) {
		var err error
		fd, err = syscall.Open(file, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	})
	defer syscall.Close(fd) // the reader waits until then
	s.signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Error("it goes on")
		s.cmd.Process.Kill()
		<-s.exited
	}
	s.ended = true
}
