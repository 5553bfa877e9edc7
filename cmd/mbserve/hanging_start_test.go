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
