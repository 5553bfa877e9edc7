package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A walk is a document whose examples follow one another in one directory.
//
//	```lua FILE      writes FILE
//	```console       lines "$ command" are run by sh, and print the lines that follow each. "…" is as in the manual.
//	                 The last one of a block may be "$ mbserve … &": it is started, and the next block waits until it is ready
//	```sh …, ```text and blocks without a word are for the reader
//
// Each port that the document names is a free one in the test.
type walk struct {
	sampleRun
	file    string
	replace *strings.Replacer // of ports
	back    *strings.Replacer
}

// newWalk makes the directory, with mbserve in its path.
func newWalk(t *testing.T, file string, ports ...string) *walk {
	t.Helper()
	dir, err := os.MkdirTemp("", "mb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nGORACE=\"atexit_sleep_ms=0 $GORACE\" %s=%s exec '%s' \"$@\"\n", envServer, newMark(), self)
	if err := os.WriteFile(filepath.Join(dir, "mbserve"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("silent\nshow-error\nnoproxy = *\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := &walk{file: file}
	w.t, w.dir = t, dir
	w.usePorts(ports)
	return w
}

// usePorts chooses a free port for each one that the document names.
func (w *walk) usePorts(ports []string) {
	var to, from []string
	for _, port := range ports {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		defer ln.Close()
		_, free, _ := net.SplitHostPort(ln.Addr().String())
		to, from = append(to, port, free), append(from, free, port)
	}
	w.replace, w.back = strings.NewReplacer(to...), strings.NewReplacer(from...)
}

// run runs all blocks.
func (w *walk) run() {
	steps := 0
	for _, b := range readBlocks(w.t, w.file) {
		switch word, name, _ := strings.Cut(b.kind, " "); word {
		case "lua":
			if err := os.WriteFile(filepath.Join(w.dir, name), []byte(w.replace.Replace(strings.Join(b.text, "\n")+"\n")), 0o644); err != nil {
				w.t.Fatal(err)
			}
		case "console":
			steps++
			for i, line := range b.text {
				b.text[i] = w.replace.Replace(line)
			}
			w.console(b)
		case "", "sh", "text":
		default:
			w.t.Fatalf("line %d: a block of kind %q", b.line, b.kind)
		}
		if w.t.Failed() {
			return
		}
	}
	if steps == 0 {
		w.t.Fatal("there are no steps")
	}
}

// The examples of docs/testing.md are run.
func TestTestingDocument(t *testing.T) {
	t.Parallel()
	newWalk(t, "../../docs/testing.md").run()
}
