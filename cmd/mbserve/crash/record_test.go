package crash

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRequestBytes(t *testing.T) {
	for _, c := range []struct{ head, body, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\nexpect: 100-continue\r\nX: 1\r\n 2\r\n", "body", "POST /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\nContent-Length: 4\r\n\r\nbody"},
		{"POST /a HTTP/1.1\r\nTransfer-Encoding: gzip,\r\n chunked\r\nTrailer: X\r\nA: b", "body", "POST /a HTTP/1.1\r\nA: b\r\nContent-Length: 4\r\n\r\nbody"},
		{"POST /a HTTP/1.1\nContent-Length: 0\nA: b\n\n", "", "POST /a HTTP/1.1\r\nA: b\r\nContent-Length: 0\r\n\r\n"},
		{"", "body", ""},
		{"GET", "", ""},
	} {
		q := &Request{Head: Text(c.head), Body: Text(c.body)}
		got, err := q.Bytes()
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.head, got, err)
		}
	}
}

func TestReadRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for text, want := range map[string]string{
		"": "no record", "{}": `the format is ""`, `{"format":"moonbridge crash 99"}`: "99", "[1": "no record",
		`{"format":"moonbridge crash 1","request":{"head":7}}`: "no record",
	} {
		os.WriteFile(name, []byte(text), 0o600)
		if _, err := Read(name); !errors.Is(err, errFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Truncate(name, recordMax+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Error(err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a directory is read")
	}
}

// Whatever a file says, it is a record or refused, and a record makes a request or none.
func FuzzDecode(f *testing.F) {
	b, _ := encode(record(1, ""))
	f.Add(b)
	f.Add([]byte(`{"format":"moonbridge crash 1","request":{"head":{"base64":"R0VU"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err == nil && r.Request != nil {
			r.Request.Bytes()
		}
	})
}

// A core is found by what the system makes of core_pattern, and only if it is new and ours. A debugger shows it.
func TestBacktrace(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	gdb := filepath.Join(bin, "gdb")
	if err := os.WriteFile(gdb, []byte("#!/bin/sh\neval core=\\${$#}\necho \"stack of $(cat $core)\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, age time.Duration) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		os.Chtimes(path, at, at)
	}
	write("core", time.Hour)
	write("core.42", 0)
	write("c-host-42-x%", 0)
	for _, c := range []struct {
		name, pattern, path, text, missing string
		undumped                           bool
	}{
		{name: "with the number", pattern: "core", path: bin, text: "stack of core.42"},
		{name: "wildcards", pattern: "c-%h-%p-%e%%", path: bin, text: "stack of c-host-42-x%"},
		{name: "absolute", pattern: filepath.Join(dir, "core"), path: bin, text: "stack of core.42"},
		{name: "not known", path: bin, text: "stack of core.42"},
		{name: "somewhere else", pattern: "none", path: bin, missing: "was not found"},
		{name: "a program", pattern: "|/usr/lib/x %P", path: bin, missing: "coredumpctl debug 42"},
		{name: "no gdb", pattern: "core", path: dir, missing: "gdb is not installed; with it: gdb /p " + filepath.Join(dir, "core.42")},
		{name: "no core", undumped: true, missing: "ulimit -c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path == bin {
				c.path += ":" + os.Getenv("PATH")
			}
			t.Setenv("PATH", c.path)
			core := Core{Dumped: !c.undumped, PID: 42, Ended: time.Now(), Program: "/p", Dir: dir, Pattern: c.pattern}
			text, missing := core.Backtrace()
			if strings.TrimSpace(text) != c.text || (missing == "") != (c.missing == "") || !strings.Contains(missing, c.missing) {
				t.Errorf("%q, %q", text, missing)
			}
		})
	}
	os.Remove(filepath.Join(dir, "core.42"))
	if _, missing := (&Core{Dumped: true, PID: 42, Ended: time.Now(), Dir: dir, Pattern: "core"}).Backtrace(); !strings.Contains(missing, "not found") {
		t.Errorf("an old core: %q", missing)
	}
}

// However much a debugger says, a record has the beginning of it.
func TestBacktraceIsBounded(t *testing.T) {
	gdb := filepath.Join(t.TempDir(), "gdb")
	if err := os.WriteFile(gdb, []byte("#!/bin/sh\nhead -c 3000000 /dev/zero\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if text, err := run(gdb, "/p", "core"); len(text) != backtraceMax || err != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
