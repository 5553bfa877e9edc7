package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

const (
	ignoring, ending, rawLine, rawIgnoring, rawEnding, rawEnded, rawEndingSoon = 0, 1, 2, 3, 4, 5, 6 // listeners of gone.lua
	clientGone                                                                 = shm.ResultDone | shm.ResultClose | shm.ClientGone<<shm.ResultStatusShift
)

// goneWorker is a worker of gone.lua, and the name of the file that its handlers wait for.
func goneWorker(t *testing.T) (w *worker, released string) {
	t.Helper()
	released = filepath.Join(t.TempDir(), "released")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return mustLoad(t, "gone.lua", released, fifo).fork(0, small), released
}

func release(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// command sends a byte on the control socket.
func (w *worker) command(what byte) {
	w.t.Helper()
	if _, err := w.control.Write([]byte{what}); err != nil {
		w.t.Fatal(err)
	}
}

// goes sets flags that say that the client has gone, as the loop does, and gives the order to end the handler.
func (e *exchange) goes(flags uint32) {
	e.flags |= flags
	e.feed()
	e.w.command(shm.CtlClientGone)
}

// runs waits until the worker runs an exchange.
func (e *exchange) runs() {
	e.w.t.Helper()
	at := &e.w.mem.OutWorker(e.w.slot).At
	eventually(e.w.t, "the handler runs", func() bool { return at.Load() == shm.At(e.loop, e.cell) })
}

// A handler is ended by an error when its client has gone.
func TestClientGoneEndsHandler(t *testing.T) {
	w, _ := goneWorker(t)
	const early = "HTTP/1.1 200 OK\r\nDate: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n"
	for _, c := range []struct {
		path   string
		flags  uint32
		result uint32
		text   string
	}{
		{"/loop", shm.InPeerEnd, clientGone, ""},
		{"/poll", shm.InPeerEnd, clientGone, ""},
		{"/poll_for_stop", shm.InPeerEnd, clientGone, ""},
		{"/loop", shm.InCancel, shm.ResultDone | shm.ResultReset, ""},
		{"/late", shm.InPeerEnd, shm.ResultDone | shm.ResultReset, early},
		{"/late", shm.InPeerEnd | shm.InCancel, shm.ResultDone | shm.ResultReset, early},
	} {
		e := w.start(request{head: "GET " + c.path, listener: ending})
		e.runs()
		if c.text != "" {
			e.until("the head", func() bool { return len(e.got) > 0 && strings.HasSuffix(string(e.got), "early\r\n") })
		}
		e.goes(c.flags)
		if r := e.finish(); r.result != c.result || r.text != c.text {
			t.Errorf("%s, %#x: result %#x, %q; want %#x, %q", c.path, c.flags, r.result, r.text, c.result, c.text)
		}
	}
	if r := w.get("/hello"); r.body() != "hello" {
		t.Errorf("got %q", r.text)
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	if s := w.stderr.all(t); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// The error is raised once, and can be caught. A hook of the application stays.
func TestClientGoneCaught(t *testing.T) {
	for path, want := range map[string]string{
		"/catch":   "false client has closed the connection true",
		"/cleanup": "true  1000000",
	} {
		w, _ := goneWorker(t)
		e := w.start(request{head: "GET " + path, listener: ending})
		w.stderr.wait(t, "runs\n")
		e.goes(shm.InPeerEnd)
		if r := e.finish(); r.body() != want || r.result != shm.ResultDone {
			t.Errorf("%s: result %#x, %q; want %q\n%s", path, r.result, r.text, want, w.stderr)
		}
	}
}

// The error is raised once in poll, too.
func TestClientGoneWhilePolling(t *testing.T) {
	w, _ := goneWorker(t)
	e := w.start(request{head: "GET /poll_again", listener: ending})
	w.stderr.wait(t, "runs\n")
	e.goes(shm.InPeerEnd)
	if r := e.finish(); r.body() != "false client has closed the connection false" || r.result != shm.ResultDone {
		t.Errorf("result %#x, %q\n%s", r.result, r.text, w.stderr)
	}
}

// A handler that waits for the client to take its output is ended too, even in a coroutine.
func TestClientGoneWhileWriting(t *testing.T) {
	w, _ := goneWorker(t)
	for _, path := range []string{"/write", "/coroutine"} {
		e := w.start(request{head: "GET " + path, listener: ending})
		e.hold = true
		full := func() bool { return e.out.OutHead.Load() == uint64(len(e.outWin)) }
		e.until("the window is full", full)
		e.goes(shm.InPeerEnd)
		if r := e.finish(); r.result != shm.ResultDone|shm.ResultReset {
			t.Errorf("%s: result %#x\n%s", path, r.result, w.stderr)
		}
	}
}

// A client that has gone before the handler begins is not served.
func TestClientGoneBefore(t *testing.T) {
	w, _ := goneWorker(t)
	for listener, want := range []string{"HTTP/1.1 200 OK\nDate: X\nContent-Length: 5\n\nhello", ""} {
		r := w.do(request{head: "GET /hello", listener: uint16(listener), cut: shm.InEnd | shm.InPeerEnd})
		result := uint32(0)
		if want == "" {
			result = clientGone
		}
		w.check(r, want, result)
	}
}

// The order means nothing to a handler that has finished, to one whose script does not want it, and to one whose client is
// still there: it may have come late.
func TestClientGoneDoesNotApply(t *testing.T) {
	for _, c := range []struct {
		name, path, want string
		listener         uint16
		flags            uint32
	}{
		{"finished", "/finished", "finished", ending, shm.InPeerEnd},
		{"ignored", "/limit", "still here", ignoring, shm.InPeerEnd},
		{"another client", "/limit", "still here", ending, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, released := goneWorker(t)
			e := w.start(request{head: "GET " + c.path, listener: c.listener})
			e.runs()
			if c.name == "finished" {
				eventually(t, "the end of the response", func() bool { return e.out.Flags.Load()&shm.OutPending != 0 || e.out.OutHead.Load() > 0 })
			}
			for range 5 {
				e.goes(c.flags)
			}
			w.command(shm.CtlFlush) // whatever was before it has been taken
			if c.name == "finished" {
				e.until("the response", func() bool { return len(e.got) > 0 })
			}
			release(t, released)
			if r := e.finish(); r.body() != c.want || r.result != shm.ResultDone {
				t.Errorf("result %#x, %q\n%s", r.result, r.text, w.stderr)
			}
			if status := w.quit(); status != 0 {
				t.Errorf("worker ended with %#x\n%s", status, w.stderr)
			}
		})
	}
}

// timeout() works on.
func TestClientGoneAndTimeout(t *testing.T) {
	w, _ := goneWorker(t)
	e := w.start(request{head: "GET /short", listener: ending})
	w.stderr.wait(t, "runs\n")
	e.goes(shm.InPeerEnd)
	if r := e.finish(); r.result != shm.ResultDone|shm.ResultRetire|shm.ResultClose|504<<shm.ResultStatusShift {
		t.Errorf("result %#x", r.result)
	}
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
}

// A handler can ask.
func TestClientGoneAsked(t *testing.T) {
	for _, c := range []struct {
		flags uint32
		want  string
	}{{0, "false true;false true"}, {shm.InPeerEnd, "false true;true false"}, {shm.InCancel, "false true;true false"}} {
		w, released := goneWorker(t)
		e := w.start(request{head: "GET /ask"})
		e.until("the first answer", func() bool { return strings.HasSuffix(string(e.got), ";\r\n") })
		e.flags |= c.flags
		e.feed()
		release(t, released)
		r := e.finish()
		if c.flags&shm.InCancel != 0 { // data cannot be sent any more
			if r.result != shm.ResultDone|shm.ResultReset {
				t.Errorf("cancelled: result %#x", r.result)
			}
		} else if r.body() != c.want {
			t.Errorf("flags %#x: %q; want %q\n%s", c.flags, r.body(), c.want, w.stderr)
		}
	}
}

// On a raw connection the socket itself is asked, and nothing is read.
func TestSocketAlive(t *testing.T) {
	w, _ := goneWorker(t)
	for name, end := range map[string]func(c *rawConn){
		"FIN": func(c *rawConn) { c.sendEnd("unread\n") },
		"RST": func(c *rawConn) {
			c.client.(interface{ SetLinger(int) error }).SetLinger(0)
			c.client.Close()
		},
	} {
		c := w.connect(rawLine)
		for range 2 {
			c.send("ask\n")
			if got := c.line(); got != "true" {
				t.Errorf("%s: alive: %s", name, got)
			}
		}
		c.send("await\n")
		c.line()
		end(c)
		if name == "FIN" {
			c.over(0)
			w.stderr.wait(t, "gone, but unread\n")
		} else {
			c.over(0)
			w.stderr.wait(t, "gone, but nothing\n")
		}
	}
	c := w.connect(rawLine)
	c.send("close\n")
	c.over(0)
	w.stderr.wait(t, "alive: false\n")
}

// line reads a line.
func (c *rawConn) line() string {
	c.w.t.Helper()
	var text []byte
	for b := make([]byte, 1); ; text = append(text, b[0]) {
		if _, err := c.client.Read(b); err != nil {
			c.w.t.Fatalf("%v after %q\n%s", err, text, c.w.stderr)
		}
		if b[0] == '\n' {
			return string(text)
		}
	}
}

// The worker takes orders in whatever number.
func TestManyOrders(t *testing.T) {
	w, released := goneWorker(t)
	e := w.start(request{head: "GET /limit", listener: ending})
	e.runs()
	for range 100 {
		w.command(shm.CtlClientGone)
		unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil)
	}
	release(t, released)
	if r := e.finish(); r.body() != "still here" {
		t.Errorf("%q\n%s", r.text, w.stderr)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
