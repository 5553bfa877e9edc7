package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// completer is a worker with the script complete.lua. A step "wait" of its paths waits for goOn.
type completer struct {
	*worker
	fifo *os.File
}

func startCompleter(t *testing.T, outWindow int) *completer {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &completer{mustLoad(t, "complete.lua", name).fork(0, windows(64<<10, outWindow)), f}
}

func (w *completer) goOn() {
	w.t.Helper()
	if _, err := w.fifo.WriteString("go on\n"); err != nil {
		w.t.Fatal(err)
	}
}

// complete says whether the loop was told that the response is complete.
func (e *exchange) complete() bool { return e.out.Flags.Load()&shm.OutComplete != 0 }

// closes says whether the connection is to be closed then.
func (e *exchange) closes() bool { return e.out.Flags.Load()&shm.OutClose != 0 }

func (e *exchange) text() string { return dateField.ReplaceAllString(string(e.got), "Date: X\r\n") }

// A complete response is reported, with a ring, while the handler goes on. Nothing follows it.
func TestComplete(t *testing.T) {
	const dated = "Date: X\r\n"
	for _, c := range []struct {
		head, path string
		end        string // of the response
		close      bool
	}{
		{"GET", "status=200/data=5/finish/wait", dated + "Content-Length: 5\r\n\r\nddddd", false},
		{"GET", "status=200/finish/wait", dated + "Content-Length: 0\r\n\r\n", false},
		{"GET", "status=200/data=5/finish/wait/finish/caught", dated + "Content-Length: 5\r\n\r\nddddd", false},
		{"GET", "status=200/data=5/flush/data=3/finish/wait", "5\r\nddddd\r\n3\r\nddd\r\n0\r\n\r\n", false},
		{"GET", "status=200/data=70000/finish/wait", "dd\r\n0\r\n\r\n", false},
		{"GET", "status=200/long=5000/finish/wait", dated + "Content-Length: 0\r\n\r\n", false},
		{"GET 1.0", "status=200/data=5/finish/wait", dated + "Content-Length: 5\r\nConnection: close\r\n\r\nddddd", true},
		{"GET 1.0", "status=200/data=5/flush/data=3/finish/wait", "Connection: close\r\n\r\nddddd" + "ddd", true},
		{"GET close", "status=200/data=5/finish/wait", "Connection: close\r\n\r\nddddd", true},
		{"POST part", "status=200/data=5/finish/wait", "Connection: close\r\n\r\nddddd", true},
		{"POST part", "status=200/data=5/flush/finish/wait", "5\r\nddddd\r\n0\r\n\r\n", true},

		{"HEAD", "status=200/data=5/finish/wait", dated + "Content-Length: 5\r\n\r\n", false},
		{"HEAD", "status=200/data=5/flush/wait/data=5/flush/data=5000/finish", dated + "Transfer-Encoding: chunked\r\n\r\n", false},
		{"HEAD", "status=200/headers/flush/wait/data=5", dated + "Transfer-Encoding: chunked\r\n\r\n", false},
		{"HEAD", "status=200/length=9/data=5/flush/wait/data=4", "Content-Length: 9\r\n" + dated + "\r\n", false},
		{"HEAD", "status=200/data=70000/wait/data=70000", dated + "Transfer-Encoding: chunked\r\n\r\n", false},
		{"HEAD", "status=103/headers/status=200/data=500/data=600/wait/data=7", "Transfer-Encoding: chunked\r\n\r\n", false},
		{"HEAD", "status=200/long=40000/data=2000/wait", dated + "Transfer-Encoding: chunked\r\n\r\n", false},
		{"HEAD close", "status=200/data=5/flush/wait/data=5", "Connection: close\r\n\r\n", true},

		{"GET", "status=204/flush/wait", "HTTP/1.1 204 X\r\n" + dated + "\r\n", false},
		{"GET", "status=204/flush/wait/headers/flush/finish", "HTTP/1.1 204 X\r\n" + dated + "\r\n", false},
		{"GET", "status=304/headers/flush/wait", "HTTP/1.1 304 X\r\n" + dated + "\r\n", false},
		{"GET", "status=205/flush/wait/flush", "HTTP/1.1 205 X\r\n" + dated + "Content-Length: 0\r\n\r\n", false},
		{"GET", "status=103/headers/status=204/flush/wait", "HTTP/1.1 204 X\r\n" + dated + "\r\n", false},
		{"GET", "status=204/long=5000/flush/wait", dated + "\r\n", false},

		{"GET", "status=200/length=5/data=5/flush/wait/flush/finish", "Content-Length: 5\r\n" + dated + "\r\nddddd", false},
		{"GET", "status=200/length=5/data=2/flush/data=3/wait", dated + "\r\nddddd", false},
		{"GET", "status=200/length=0/headers/flush/wait", "Content-Length: 0\r\n" + dated + "\r\n", false},
		{"GET", "status=200/length=70000/data=70000/wait", "dd", false},
	} {
		for _, window := range []int{64 << 10, 4096} {
			t.Run(c.head+" "+c.path, func(t *testing.T) {
				w := startCompleter(t, window)
				method, version, _ := strings.Cut(c.head, " ")
				r := request{head: method + " /" + c.path}
				switch version {
				case "1.0":
					r.head += " HTTP/1.0"
				case "close":
					r.head += " HTTP/1.1\nHost: x\nConnection: close"
				case "part":
					r.body, r.expect = "body", true
				}
				e := w.start(r)
				e.until("a complete response", e.complete)
				e.take()
				early := e.text()
				if !strings.HasSuffix(early, c.end) || e.closes() != c.close {
					t.Errorf("closes: %v, %.300q ... %.100q; want %v, %q", e.closes(), early, early[max(0, len(early)-100):], c.close, c.end)
				}
				w.goOn()
				want := uint32(shm.ResultDone)
				if c.close {
					want |= shm.ResultClose
				}
				if got := e.finish(); got.text != early || got.result != want {
					t.Errorf("in the end %#x, %.300q; want %#x, %.300q", got.result, got.text, want, early)
				}
				if strings.Contains(c.path, "caught") {
					w.stderr.wait(t, "flush: the response is already finished\n")
				} else if s := w.stderr.String(); s != "" {
					t.Errorf("standard error: %s", s)
				}
			})
		}
	}
}

// A response that is not complete, or is not all of the exchange, is not reported.
func TestNotComplete(t *testing.T) {
	for _, c := range []struct{ head, path, early, late string }{
		{"GET", "status=200/data=5/flush/say=here/wait", "5\r\nddddd\r\n", "0\r\n\r\n"},
		{"GET", "status=200/length=7/data=5/flush/say=here/wait/data=2", "\r\nddddd", "dd"},
		{"GET", "status=200/length=0/flush/say=here/wait", "", "HTTP/1.1 200 X\r\nContent-Length: 0\r\nDate: X\r\n\r\n"},
		{"HEAD", "status=200/flush/say=here/wait", "", "HTTP/1.1 200 X\r\nDate: X\r\nContent-Length: 0\r\n\r\n"},
		{"HEAD", "status=200/data=5/say=here/wait", "", "HTTP/1.1 200 X\r\nDate: X\r\nContent-Length: 5\r\n\r\n"},
		{"GET", "status=103/headers/flush/say=here/wait/status=204", "HTTP/1.1 103 X\r\n\r\n", "HTTP/1.1 204 X\r\nDate: X\r\n\r\n"},
		// The handler may want the body, and may still get it.
		{"POST", "status=204/flush/say=here/wait/body", "HTTP/1.1 204 X\r\nDate: X\r\n\r\n", ""},
	} {
		t.Run(c.head+" "+c.path, func(t *testing.T) {
			if strings.Contains(c.path, "103/headers/flush") {
				c.path = strings.Replace(c.path, "/flush", "", 1) // a status is missing
			}
			w := startCompleter(t, 64<<10)
			r := request{head: c.head + " /" + c.path}
			if c.head == "POST" {
				r.body, r.expect = "body", true
			}
			e := w.start(r)
			w.stderr.wait(t, "here")
			e.take()
			if early := e.text(); !strings.HasSuffix(early, c.early) || c.early == "" && early != "" || e.complete() {
				t.Errorf("complete: %v, %q, want %q", e.complete(), early, c.early)
			}
			early := e.text()
			w.goOn()
			if got := e.finish(); got.text != early+c.late || got.result != shm.ResultDone {
				t.Errorf("in the end %#x, %q; want %q", got.result, got.text, early+c.late)
			}
			if c.head == "POST" {
				w.stderr.wait(t, "body of 4 bytes")
			}
		})
	}
}

// A complete response that is held back goes out on request of the server. Its last byte is reason enough to hold it no
// longer.
func TestControlFlushCompletes(t *testing.T) {
	w := startCompleter(t, 64<<10)
	for _, c := range []struct{ request, want string }{
		{"HEAD /status=200/data=2000/wait", "Transfer-Encoding: chunked\r\n\r\n"},
		{"HEAD /status=200/headers/wait/data=9", "Transfer-Encoding: chunked\r\n\r\n"},
		{"HEAD /status=200/length=5/data=5/wait", "Content-Length: 5\r\nDate: X\r\n\r\n"},
		{"GET /status=200/length=5/data=5/wait", "\r\n\r\nddddd"},
		{"GET /status=204/headers/wait", "HTTP/1.1 204 X\r\nDate: X\r\n\r\n"},
	} {
		e := w.start(request{head: c.request})
		e.untilPending()
		if _, err := w.control.Write([]byte{shm.CtlFlush}); err != nil {
			t.Fatal(err)
		}
		e.until("a complete response", e.complete)
		e.take()
		early := e.text()
		if !strings.HasSuffix(early, c.want) {
			t.Errorf("%s: %q, want %q", c.request, early, c.want)
		}
		w.goOn()
		if got := e.finish(); got.text != early || got.result != shm.ResultDone {
			t.Errorf("%s: in the end %#x, %q; want %q", c.request, got.result, got.text, early)
		}
	}
}

// Whatever a handler does after its response is complete, the client has it. Errors are logged.
func TestCompleteAndFailed(t *testing.T) {
	for _, c := range []struct{ request, said string }{
		{"GET /status=200/finish/fail", "too late"},
		{"HEAD /status=200/data=5/flush/fail", "too late"},
		{"GET /status=204/flush/fail", "too late"},
		{"GET /status=200/length=5/data=5/flush/fail", "too late"},
		{"GET /status=200/length=5/data=5/flush/data=1", "more data than the Content-Length"},
		{"GET /status=204/flush/data=1", "a response with status 204 has no body"},
		{"GET /status=200/finish/cancel", ""},
		{"HEAD /status=200/data=5/flush/cancel/data=5", ""},
	} {
		w := startCompleter(t, 64<<10)
		e := w.start(request{head: c.request})
		if got := e.finish(); got.result != shm.ResultDone || !e.complete() || e.out.Flags.Load()&shm.OutReset != 0 {
			t.Errorf("%s: result %#x, flags %#x", c.request, got.result, e.out.Flags.Load())
		}
		w.stderr.wait(t, c.said)
	}
}

// A handler whose output is discarded learns when the client has gone. That is not an error of the handler.
func TestCompleteAndGone(t *testing.T) {
	for _, head := range []string{
		"HEAD /status=200/data=5/flush/forever=data", "HEAD /status=200/data=5/flush/forever", "HEAD /status=200/data=5/forever=data",
		"HEAD /status=200/data=100000/forever=data", "GET /status=204/flush/forever", "GET /status=304/forever",
		"GET /status=200/length=5/data=5/forever",
	} {
		w := startCompleter(t, 64<<10)
		e := w.start(request{head: head})
		e.until("a complete response", e.complete)
		e.flags = shm.InCancel
		e.feed()
		if got := e.finish(); got.result != shm.ResultDone {
			t.Errorf("%s: result %#x", head, got.result)
		}
		if s := w.stderr.String(); s != "" {
			t.Errorf("%s: standard error: %s", head, s)
		}
	}
}

// A body that has arrived can be read after finish, though the client has gone. A body that has not is an error: the
// server does not wait for it then.
func TestBodyAfterFinish(t *testing.T) {
	for _, c := range []struct {
		cut  uint32 // of the body; 0: it is complete
		said string
	}{
		{0, "body of 10000 bytes\n"}, {shm.InAbort, "request body: incomplete"},
		{shm.InWantRoom, ""}, // more would come, but not from a client that has gone; that is no error of the handler
	} {
		w := startCompleter(t, 64<<10)
		r := request{head: "POST /status=200/finish/wait/body", body: strings.Repeat("b", 10000)}
		r.cut = c.cut
		e := w.start(r)
		e.until("a complete response", e.complete)
		e.flags = shm.InCancel
		e.feed()
		w.goOn()
		if got := e.finish(); got.result&^shm.ResultClose != shm.ResultDone {
			t.Errorf("result %#x", got.result)
		}
		if c.said != "" {
			w.stderr.wait(t, c.said)
		}
	}
}

// timeout() ends the worker. The client has its response.
func TestTimeoutAfterFinish(t *testing.T) {
	for _, c := range []struct {
		head   string
		result uint32
	}{
		{"GET /status=200/data=5/finish/overtime", 0}, {"HEAD /status=200/data=5/flush/overtime", 0},
		{"GET /status=200/data=5/finish/overtime HTTP/1.0", shm.ResultClose},
	} {
		w := startCompleter(t, 64<<10)
		got := w.do(request{head: c.head})
		if want := shm.ResultDone | shm.ResultRetire | c.result; got.result != want {
			t.Errorf("%s: result %#x, want %#x", c.head, got.result, want)
		}
		if status := w.wait(); status.ExitStatus() != exitTimeout {
			t.Errorf("%s: worker ended with %#x", c.head, status)
		}
	}
}
