package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// openFiles lists what the worker has open.
func (w *worker) openFiles() (names []string) {
	w.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", w.pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.t.Skip("the system does not list the descriptors of a process: ", err)
	}
	for _, e := range entries {
		name, _ := os.Readlink(dir + "/" + e.Name())
		names = append(names, name)
	}
	return names
}

// However an exchange ends, the worker closes its file, and the next exchange gets its own.
func TestBodyFileIsClosed(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, windows(1024, 4096))
	w.do(request{head: "POST /string", body: "first", file: true})
	before := len(w.openFiles())
	for i, c := range []struct {
		name, path, body string
		want             string
	}{
		{"read", "string", text(5000), "1:5000:" + text(5000)},
		{"not read", "ignore", text(5000), "ignored"},
		{"read in part", "broken", text(5000), ""},
		{"no form", "form", "x=" + text(5000), ""},
		{"streamed", "stream", text(5000), "n:5000:" + text(5000)},
	} {
		r := w.do(request{head: "POST /" + c.path, body: c.body, file: true})
		if r.body() != c.want {
			t.Errorf("%s: %#x %.200q", c.name, r.result, r.text)
		}
		if n := len(w.openFiles()); n != before {
			t.Fatalf("after exchange %d, %s: %d descriptors are open, want %d: %q", i, c.name, n, before, w.openFiles())
		}
	}
	// A file that is not read is not even asked for.
	e := w.start(request{head: "POST /ignore", body: text(5000), file: true})
	if e.finish(); e.handed {
		t.Error("the worker asked for a file that its handler does not read")
	}
}

// A worker whose client has gone still takes the file that it has asked for: otherwise the next exchange would get it.
func TestBodyFileAfterCancel(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, windows(1024, 4096))
	e := w.start(request{head: "POST /stream", body: text(300_000), file: true})
	e.handed = true // not yet
	e.until("question", func() bool { return e.out.Flags.Load()&shm.OutDescriptorWanted != 0 })
	e.flags = shm.InCancel
	e.feed()
	e.handed = false
	if r := e.finish(); r.result != shm.ResultDone|shm.ResultReset {
		t.Errorf("result %#x, %q", r.result, r.text)
	}
	if r := w.do(request{head: "POST /string", body: "second", file: true}); r.body() != "1:6:second" {
		t.Errorf("the next exchange: %q", r.text)
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// A file that is shorter than the server says is an error of the server, and is logged.
func TestBodyFileTooShort(t *testing.T) {
	for _, path := range []string{"string", "stream"} {
		w := mustLoad(t, "body.lua").fork(0, small)
		e := w.start(request{head: "POST /" + path, body: text(5000), file: true})
		e.handed = true
		e.until("question", func() bool { return e.out.Flags.Load()&shm.OutDescriptorWanted != 0 })
		if err := e.file.Truncate(4999); err != nil {
			t.Fatal(err)
		}
		e.handed = false
		if r := e.finish(); r.result != shm.ResultDone|500<<shm.ResultStatusShift {
			t.Errorf("%s: result %#x, %q", path, r.result, r.text)
		}
		w.stderr.wait(t, "request body: its file is too short")
	}
}

// The limit of the handler applies to a file too.
func TestBodyFileLimit(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, small)
	for _, path := range []string{"/string", "/form"} {
		r := w.do(request{head: "POST " + path + " HTTP/1.1\nHost: x" + formType, body: "a=" + text(1_000_000), file: true})
		w.check(r, "", 413<<shm.ResultStatusShift)
	}
}

// A head longer than the window goes before the file.
func TestBodyFileLongHead(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, windows(1024, 4096))
	r := w.do(request{head: "POST /string HTTP/1.1\nHost: x\nLong: " + strings.Repeat("x", 5000), body: text(5000), file: true})
	if r.body() != "1:5000:"+text(5000) {
		t.Errorf("%#x %.200q", r.result, r.text)
	}
}
