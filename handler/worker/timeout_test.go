package worker

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// exitTimeout is MB_EXIT_TIMEOUT.
const exitTimeout = 124

// timedOut waits for the end of a worker whose time was over.
func (w *worker) timedOut(who string) {
	w.t.Helper()
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		w.t.Errorf("%s: worker ended with %#x", who, status)
	}
	s := w.stderr.all(w.t)
	s = regexp.MustCompile(` testdata/timeout\.lua:\d+:`).ReplaceAllString(s, "")
	if want := who + ": timeout: still running, ending the worker\n"; s != want {
		w.t.Errorf("standard error %q; want %q", s, want)
	}
}

func TestTimeoutEndsHandler(t *testing.T) {
	const none = shm.ResultClose | 504<<shm.ResultStatusShift
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f := mustLoad(t, "timeout.lua", fifo)
	for _, c := range []struct {
		path   string
		result uint32
		text   string
	}{
		{"loop", none, ""}, {"c", none, ""}, {"nested", none, ""}, {"outer", none, ""}, {"outer_off", none, ""},
		{"past", none, ""}, {"after_error", none, ""}, {"held", none, ""},
		{"late", shm.ResultReset, "HTTP/1.1 200 OK\r\nDate: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n"},
		{"interim", none, "HTTP/1.1 103 Early Hints\r\n\r\n"},
	} {
		w := f.fork(0, small)
		r := w.get("/" + c.path)
		if want := shm.ResultDone | shm.ResultRetire | c.result; r.result != want || r.text != c.text {
			t.Errorf("%s: result %#x, %q; want %#x, %q", c.path, r.result, r.text, want, c.text)
		}
		w.timedOut("GET /" + c.path)
	}
}

func TestTimeoutOfOthers(t *testing.T) {
	f := mustLoad(t, "timeout.lua")
	w := f.fork(0, small)
	if r := w.do(request{listener: 2, interval: "tick"}); r.result != shm.ResultDone|shm.ResultRetire {
		t.Errorf("interval: result %#x", r.result)
	}
	w.timedOut("interval tick")

	w = f.fork(0, small)
	c := w.connect(1)
	c.send("loop\n")
	if got := c.expectReset(); got != "written" && got != "" {
		t.Errorf("client read %q", got)
	}
	c.over(shm.ResultRetire)
	w.timedOut("connection")

	w = mustLoad(t, "timeout.lua", "finish").fork(0, small)
	w.mem.InWorker(w.slot).Quit.Store(1)
	w.ring()
	w.timedOut("finish")
}

func TestTimeoutInPrepare(t *testing.T) {
	f := mustLoad(t, "timeout.lua", "prepare")
	w := f.fork(0, small)
	if want := "timeout.lua"; !strings.Contains(w.failed, want) || !strings.HasSuffix(w.failed, ": timeout: still running, ending the worker") {
		t.Errorf("reported %q", w.failed)
	}
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
}

// While a closing socket waits for its peer, too.
func TestTimeoutInClose(t *testing.T) {
	for _, sendBuffer := range []int{1, 1 << 20} {
		w := mustLoad(t, "timeout.lua").fork(0, small)
		client, server := narrow(t, sendBuffer)
		c := w.serve(1, client, server)
		c.send("close\n")
		c.over(shm.ResultRetire)
		w.timedOut("connection")
		c.expectReset()
	}
}

func TestTimeoutValues(t *testing.T) {
	f := mustLoad(t, "timeout.lua")
	for _, call := range []string{"top", "call"} {
		f.out.wait(t, call+"\tfalse\ttimeout: only prepare, connect and finish handlers can set it\n")
	}
	w := f.fork(0, small)
	for range 2 {
		want := "0 0 100\n0\ntrue 300\n0 300\n100 300\n300 raised 300 table\n0 200 0\n"
		if r := w.get("/fine"); r.body() != want {
			t.Errorf("%s; want %s\n%s", r.body(), want, w.stderr)
		}
		if r := w.get("/fine/wait"); r.body() != "0" {
			t.Errorf("%q\n%s", r.text, w.stderr)
		}
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
}

func TestTimeoutMisuse(t *testing.T) {
	w := mustLoad(t, "timeout.lua").fork(0, small)
	const seconds, number = "timeout: seconds are out of range (0 to 1e9)\n", "timeout: seconds must be a number, not a "
	want := number + "string\n" + strings.Repeat(seconds, 3) + number + "boolean\n" +
		"timeout: argument 2 must be a function, not a number\ntimeout: argument 2 must be a function, not a string\n" +
		number + "nil\ntimeout: argument 2 must be a function, not a nil\n"
	got := regexp.MustCompile(`testdata/timeout\.lua:\d+: `).ReplaceAllString(w.get("/misuse").body(), "")
	if got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// There is a limit for finish from the beginning, and for what runs after it.
func TestTimeoutOfFinish(t *testing.T) {
	w := mustLoad(t, "timeout.lua", "finished").fork(0, small)
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	if got := w.stderr.all(t); got != "finish true\nfinalizer true\n" {
		t.Errorf("%q", got)
	}
}
