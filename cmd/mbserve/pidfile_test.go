package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// While the file is rewritten, it is never empty.
func TestPidFileIsTakenOver(t *testing.T) {
	ours := fmt.Sprint(os.Getpid())
	for _, other := range []string{"1", "12345678"} {
		name := filepath.Join(t.TempDir(), "pid")
		p, err := writePidFile(name, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		var stop atomic.Bool
		read := make(chan string)
		go func() {
			bad := ""
			for !stop.Load() {
				text, err := os.ReadFile(name)
				if line, _, _ := strings.Cut(string(text), "\n"); err != nil || line == "" {
					bad = fmt.Sprintf("%q, %v", text, err)
				}
			}
			read <- bad
		}()
		for range 2000 {
			// As another process would leave it.
			longer := strings.Repeat("\n", max(len(ours), len(other))+1)
			if _, err := p.f.WriteAt([]byte(longer[len(ours)+1:]), int64(len(ours)+1)); err != nil {
				t.Fatal(err)
			}
			if _, err := p.f.WriteAt([]byte(other+longer[len(other):]), 0); err != nil {
				t.Fatal(err)
			}
			if err := p.f.Truncate(int64(len(other) + 1)); err != nil {
				t.Fatal(err)
			}
			if err := p.takeOver(); err != nil {
				t.Fatal(err)
			}
		}
		stop.Store(true)
		if bad := <-read; bad != "" {
			t.Error(bad)
		}
		if text, err := os.ReadFile(name); err != nil || string(text) != ours+"\n" {
			t.Errorf("%q, %v", text, err)
		}
		p.remove(nil)
	}
}

// A server that ends removes its file at any moment. One that has opened that before does not take the removed file for its own.
func TestPidFileIsRemovedMeanwhile(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		name := filepath.Join(t.TempDir(), "pid")
		opened := 0
		p, err := writePidFile(name, func(path string) (*os.File, error) {
			f, err := plain(path)
			if opened++; opened > 1 || err != nil {
				return f, err
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			if replaced {
				if err := os.WriteFile(name, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			return f, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(name); err != nil || string(text) != fmt.Sprintln(os.Getpid()) {
			t.Errorf("%q, %v", text, err)
		}
		p.remove(nil)
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			t.Errorf("at the end: %v", err)
		}
	}
}

// plain opens a file as a server does that never was root.
func plain(path string) (*os.File, error) { return openForWriting(path, pidFlag) }
