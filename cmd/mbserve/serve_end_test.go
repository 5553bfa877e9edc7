package main

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/cmd/mbserve/acme"
)

// hungListener is a listener whose end waits for its disk.
type hungListener struct {
	net.Listener
	goOn chan struct{}
}

func (ln hungListener) Close() error { <-ln.goOn; return nil }

// What waits for a disk that hangs does not hold up the end of the server.
func TestEndOnHungDisk(t *testing.T) {
	goOn := make(chan struct{})
	defer func(f func(string) error, c func(*acme.Keepers), d time.Duration) {
		removeFile, closeKeepers, endMost = f, c, d
	}(removeFile, closeKeepers, endMost)
	removed, released := make(chan struct{}), make(chan struct{})
	removeFile = func(string) error {
		defer close(removed)
		<-goOn
		return nil
	}
	closeKeepers = func(*acme.Keepers) {
		defer close(released)
		<-goOn
	}
	endMost = time.Millisecond
	pid, err := writePidFile(filepath.Join(t.TempDir(), "pid"), plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := newServer(&options{})
	s.log, s.pid = slog.New(slog.NewTextHandler(&log, nil)), pid
	s.admin = &adminSide{ln: hungListener{goOn: goOn}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.releaseLocks()
		s.removePidFile()
		s.endSoon("the admin listener", s.admin.end)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it waits for the disk")
	}
	for _, what := range []string{"the locks of certificates", "the pid file", "the admin listener"} {
		if !strings.Contains(log.String(), `msg="stopped although the end hangs" of="`+what+`"`) {
			t.Errorf("nothing about %s: %s", what, log.String())
		}
	}
	close(goOn)
	<-removed
	<-released
}
