package worker

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// Processes that handlers fork (testdata/fork.lua). A child may do what it likes, but when it comes back to the server's code
// it ends, and nothing that belongs to the server has changed.

const (
	strayEnd  = "exited 1"
	strayText = "forked process: it came back from the function that forked it"
)

// loadForking loads the script. mode and way are its first two arguments: how it forks, and where besides handlers.
func loadForking(t *testing.T, mode, way string) *fork {
	t.Helper()
	return mustLoad(t, "fork.lua", mode, way, processesModule(t))
}

// waysToFork are fork() of the C library, and the bare system call, which no handler of fork() sees.
var waysToFork = []string{"fork", "clone"}

// serves checks that the worker is in order, ends it, and returns what was written to standard error.
func (w *worker) serves() string {
	w.t.Helper()
	if r := w.get("/pid"); r.body() == "" || r.result != shm.ResultDone {
		w.t.Errorf("the worker does not serve any more: %q, result %#x\n%s", r.text, r.result, w.stderr)
	}
	if status := w.quit(); status != 0 {
		w.t.Errorf("worker ended with %#x", status)
	}
	text := w.stderr.all(w.t)
	if strings.Contains(text, "goes on") {
		w.t.Errorf("a child went on: %s", text)
	}
	return text
}

func TestForkedChildOfRequest(t *testing.T) {
	const form = "\nContent-Type: application/x-www-form-urlencoded"
	for _, way := range waysToFork {
		t.Run(way, func(t *testing.T) {
			w := loadForking(t, "", way).fork(0, small)
			children := 0
			for _, name := range []string{"returns", "returns_false", "fails", "fails_oddly", "status", "data", "flush", "finish",
				"finish_headers", "field", "headers", "own_field", "params", "body", "form", "defer", "socket", "cancel", "timeout",
				"listen", "poll", "coroutine"} {
				w.check(w.do(request{head: "POST /" + name + " HTTP/1.1" + form, body: "a=1"}),
					"HTTP/1.1 200 OK\nDate: X\nContent-Length: 8\n\n"+strayEnd, 0)
				children++
			}
			for name, want := range map[string]string{"exits": "exited 7", "exits_at_once": "exited 8", "executes": "exited 6"} {
				w.check(w.get("/"+name), "HTTP/1.1 200 OK\nDate: X\nContent-Length: 8\n\n"+want, 0)
			}
			text := w.serves()
			if n := strings.Count(text, "forked process: "); n != children {
				t.Errorf("%d lines about %d children: %s", n, children, text)
			}
			if !strings.Contains(text, "a mistake of the child\n") || !strings.Contains(text, strayText) {
				t.Errorf("standard error: %s", text)
			}
		})
	}
}

// The child comes back from a function that the server has called in the middle of something.
func TestForkedChildOfCallback(t *testing.T) {
	const form = "\nContent-Type: application/x-www-form-urlencoded"
	for _, way := range waysToFork {
		t.Run(way, func(t *testing.T) {
			w := loadForking(t, "", way).fork(0, small)
			for _, name := range []string{"stream", "stream_param", "tostring", "limited", "coroutine"} {
				r := w.do(request{head: "POST /" + name + " HTTP/1.1" + form, body: "a=1"})
				if r.body() != strayEnd || r.result != shm.ResultDone {
					t.Errorf("%s: %q, result %#x\n%s", name, r.text, r.result, w.stderr)
				}
			}
			w.serves()
		})
	}
}

func TestForkedChildOfConnection(t *testing.T) {
	for _, way := range waysToFork {
		t.Run(way, func(t *testing.T) {
			w := loadForking(t, "", way).fork(0, small)
			for _, name := range []string{"returns", "fails", "write", "read", "lines", "close", "cancel", "field", "close_output"} {
				c := w.connect(1)
				c.send(name + "\n")
				c.expect("once " + strayEnd)
				c.over(0)
			}
			w.serves()
		})
	}
}

// Output that a handler has written but not sent is not sent by its child as well.
func TestForkedChildExits(t *testing.T) {
	w := loadForking(t, "", "fork").fork(0, small)
	c := w.connect(1)
	c.send("exits\n")
	c.expect("once exited 7")
	c.over(0)
	w.serves()
}

func TestForkedChildOfRawHTTP(t *testing.T) {
	for _, way := range waysToFork {
		t.Run(way, func(t *testing.T) {
			w := loadForking(t, "", way).fork(0, small)
			c := w.browse(2)
			for _, name := range []string{"returns", "fails", "status", "field", "body", "cancel", "tostring", "limited"} {
				c.wants(name, 200, strayEnd)
			}
			c.leaves()
			w.serves()
		})
	}
}

func TestForkedChildOfTick(t *testing.T) {
	for _, way := range waysToFork {
		w := loadForking(t, "", way).fork(0, small)
		w.check(w.do(request{interval: "returns", listener: 3}), "", 0)
		w.check(w.do(request{interval: "fails", listener: 4}), "", 0)
		w.check(w.do(request{main: true, interval: "main", listener: 5}), "", 0)
		if text := w.serves(); strings.Count(text, "tick "+strayEnd) != 2 || !strings.Contains(text, "main "+strayEnd) {
			t.Errorf("standard error: %s", text)
		}
	}
}

func TestForkedChildOfHooks(t *testing.T) {
	for _, way := range waysToFork {
		for _, hook := range []string{"prepare", "finish"} {
			w := loadForking(t, hook, way).fork(0, small)
			if text := w.serves(); !strings.Contains(text, hook+" "+strayEnd+"\n") {
				t.Errorf("%s: standard error: %s", hook, text)
			}
		}
	}
}

// A child that the script itself forks neither listens nor becomes a second fork server.
func TestForkedChildOfScript(t *testing.T) {
	for _, way := range waysToFork {
		for _, where := range []string{"top", "end"} {
			f := loadForking(t, where, way)
			if len(f.listens) != 1 {
				t.Errorf("%s: %d calls of listen", where, len(f.listens))
			}
			f.out.wait(t, where+"\t"+strayEnd+"\n")
			f.fork(0, small).serves()
		}
	}
}

// A child that lives on does not hide from the server that the worker has ended, nor from the worker that the server has.
func TestForkedChildLivesOn(t *testing.T) {
	w := loadForking(t, "", "fork").fork(0, small)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.do(request{head: "GET /lives_on?" + fifo}); r.body() != "forked" {
		t.Fatalf("%q\n%s", r.text, w.stderr)
	}
	w.mem.InWorker(0).Quit.Store(1)
	w.ring()
	if _, _, err := recv(w.control); err != io.EOF {
		t.Errorf("control socket: %v, want its end", err)
	}
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	release, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the child to open it
	if err != nil {
		t.Fatal(err)
	}
	release.Close()
	if text := w.stderr.all(t); text != "the child ends\n" {
		t.Errorf("standard error: %q", text)
	}
}
