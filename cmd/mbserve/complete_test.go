package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// completing is a server with the script complete.lua, which has two workers.
type completing struct {
	*instance
	open   func() // lets a handler that waits go on
	calls  string // file with a line for each call
	access string // access log
}

func startCompleting(t *testing.T, limit string, args ...string) *completing {
	t.Helper()
	t.Parallel()
	fifo, open := newFIFO(t)
	c := &completing{open: open, calls: filepath.Join(t.TempDir(), "calls"), access: filepath.Join(t.TempDir(), "access")}
	args = append(args, "--access-log", c.access, "--access-format", "json", "testdata/complete.lua", fifo, c.calls)
	if limit != "" {
		args = append(args, limit)
	}
	c.instance = start(t, args...)
	return c
}

// other makes a request that must not be repeated, on the connection.
func (p *peer) other() {
	p.t.Helper()
	p.say("POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	if got := p.hears(200); got != "hello" {
		p.t.Errorf("body %q", got)
	}
}

// finished hears the response of a handler that goes on.
func (p *peer) finished() {
	p.t.Helper()
	if got := p.hears(200); got != "finished" {
		p.t.Errorf("body %q", got)
	}
}

// The connection is free while the handler works on: the next request is served by another worker, whether or not it was
// pipelined.
func TestWorkAfterFinish(t *testing.T) {
	s := startCompleting(t, "")
	p := dial(t, s.address(0))
	p.get("/wait")
	p.finished()
	s.wait("works on")
	p.other()
	s.open()
	s.wait("has worked")

	p.say("GET /wait HTTP/1.1\r\nHost: h\r\n\r\nPOST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	p.finished()
	if got := p.hears(200); got != "hello" {
		t.Errorf("body %q", got)
	}
	s.open()
	lines := fileLines(t, s.access, 4)
	for i, line := range lines {
		if e := parseEntry(t, line); e.Status != 200 || !e.Complete || e.Queue == nil || e.Service == nil || *e.Service > e.Total {
			t.Errorf("access log, line %d: %s", i, line)
		}
	}
	p.Close()
}

// A client that waits for the end of the connection has it at once.
func TestEndAfterFinish(t *testing.T) {
	s := startCompleting(t, "")
	for _, request := range []string{
		"GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /wait HTTP/1.0\r\n\r\n",
		"POST /wait HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n", // of which no byte comes
	} {
		for _, address := range []string{s.address(0), rawAddress(t, s.instance, 0)} {
			from := s.log.size()
			p := dial(t, address)
			p.say("%s", request)
			if strings.Contains(request, "Expect") {
				p.skipContinue()
			}
			p.finished()
			p.hearsEnd()
			s.log.wait(t, from, "works on")
			s.open()
			s.log.wait(t, from, "has worked")
		}
	}
}

// skipContinue reads an interim response, if one comes before the final one.
func (p *peer) skipContinue() {
	p.t.Helper()
	line, err := p.r.Peek(len("HTTP/1.1 100"))
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.HasSuffix(string(line), "100") {
		for text := ""; text != "\r\n"; {
			if text, err = p.r.ReadString('\n'); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// Whatever ends a worker after the response, the client has it, the connection goes on, and nothing is done twice.
func TestDeathAfterFinish(t *testing.T) {
	for _, c := range []struct{ path, log, limit string }{
		{"exit", "worker ended", ""},
		{"segfault", "signal SIGSEGV", ""},
		{"error", "after the response", ""},
		{"memory", "not enough memory", ""},
		{"overtime", "request_timeout: ending the worker", "2"},
		{"timeout", "timeout: still running", ""},
	} {
		t.Run(c.path, func(t *testing.T) {
			s := startCompleting(t, c.limit)
			p := dial(t, s.address(0))
			p.get("/" + c.path)
			p.finished()
			p.other()
			s.wait(c.log)
			if c.path != "error" && c.path != "memory" && c.path != "timeout" {
				s.wait("worker ended", "lost=0", "retried=0")
			}
			p.other()
			for _, line := range fileLines(t, s.access, 3) {
				if e := parseEntry(t, line); e.Status != 200 || !e.Complete {
					t.Errorf("access log: %s", line)
				}
			}
			if got := fileLines(t, s.calls, 1); got[0] != c.path+"\n" {
				t.Errorf("called: %q", got)
			}
			p.Close()
		})
	}
}

// The death of a worker that serves HTTP on a raw connection is an orderly end for a client that has its response.
func TestDeathAfterFinishOnRawConnection(t *testing.T) {
	s := startCompleting(t, "")
	p := dial(t, rawAddress(t, s.instance, 0))
	p.get("/wait")
	p.finished()
	s.wait("works on")
	eventually(t, "the worker is killed, and that is no reset", func() bool {
		// Workers that are killed before their first exchange count as failed starts, after which the pool refuses for a moment.
		eventually(t, "a worker serves", func() bool {
			resp, _, err := fetch("GET", s.url("/other"), "")
			return err == nil && resp.StatusCode == 200
		})
		// The worker prepares for its death a moment after the response.
		q := dial(t, rawAddress(t, s.instance, 0))
		q.get("/wait")
		q.finished()
		from := s.log.size()
		for _, w := range s.workers() {
			kill(t, w)
		}
		s.log.wait(t, from, "worker ended")
		_, err := q.r.ReadByte()
		q.Close()
		return err != nil && err.Error() == "EOF"
	})
	p.Close()
}

// A body that has arrived can be read after finish.
func TestBodyAfterFinish(t *testing.T) {
	s := startCompleting(t, "")
	p := dial(t, s.address(0))
	p.say("POST /body HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 20000\r\n\r\n%s", strings.Repeat("b", 20000))
	p.finished()
	p.hearsEnd()
	s.wait("body of 20000 bytes")
}

// A stop and a reload wait for handlers that work on after their response.
func TestStopAfterFinish(t *testing.T) {
	s := startCompleting(t, "")
	p := dial(t, s.address(0))
	p.get("/wait")
	p.finished()
	s.wait("works on")
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloaded")
	p.other()
	s.open()
	s.wait("has worked")
	s.wait("the replaced script has ended")

	from := s.log.size()
	p.get("/wait")
	p.finished()
	s.log.wait(t, from, "works on")
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	p.hearsEnd()
	eventually(t, "refused", func() bool { return refuses(s.address(0)) })
	s.open()
	s.exit(0)
	s.log.wait(t, from, "has worked")
	if strings.Contains(s.log.String(), "workers were killed") {
		t.Error("workers were killed")
	}
}

func TestGraceOverAfterFinish(t *testing.T) {
	s := startCompleting(t, "", "--grace", "0.3")
	p := dial(t, s.address(0))
	p.get("/wait")
	p.finished()
	s.wait("works on")
	s.signal(syscall.SIGTERM)
	p.hearsEnd()
	s.exit(0)
	s.wait("workers were killed")
}

// A handler that writes what no client gets has the connection no longer, and ends when the client has gone.
func TestStreamsWithoutEnd(t *testing.T) {
	s := startCompleting(t, "")
	raw := rawAddress(t, s.instance, 0)
	for _, request := range []string{"HEAD /events", "HEAD /slow", "GET /nothing"} {
		method, _, _ := strings.Cut(request, " ")
		for range 3 { // there are two workers
			p := dial(t, s.address(0))
			p.say("%s HTTP/1.1\r\nHost: h\r\n\r\n", request)
			p.hearsHead(method)
			p.other()
			p.Close()

			p = dial(t, raw)
			p.say("%s HTTP/1.1\r\nHost: h\r\n\r\n", request)
			p.hearsHead(method)
			p.Close()
		}
	}
	if text := s.log.String(); strings.Contains(text, "client has closed") {
		t.Error("that the client has gone is in the log")
	}
}

// hearsHead reads the head of a response that has no body.
func (p *peer) hearsHead(method string) {
	p.t.Helper()
	want := "HTTP/1.1 200 "
	if method == "GET" {
		want = "HTTP/1.1 204 "
	}
	for text, first := "", true; text != "\r\n"; first = false {
		var err error
		if text, err = p.r.ReadString('\n'); err != nil {
			p.t.Fatal(err)
		}
		if first && !strings.HasPrefix(text, want) {
			p.t.Fatalf("status line %q", text)
		}
	}
}

// response_timeout ends what such a handler writes, although its client is still there.
func TestStreamsEndAtResponseTimeout(t *testing.T) {
	s := startCompleting(t, "")
	p := dial(t, s.address(1))
	p.say("HEAD /events HTTP/1.1\r\nHost: h\r\n\r\n")
	p.hearsHead("HEAD")
	s.wait("client has closed the connection")
	p.other()
	p.Close()
}

// TERM does not wait for what no client waits for.
func TestStopEndsStreams(t *testing.T) {
	s := startCompleting(t, "", "--grace", "1h")
	p := dial(t, s.address(0))
	p.say("HEAD /events HTTP/1.1\r\nHost: h\r\n\r\n")
	p.hearsHead("HEAD")
	s.signal(syscall.SIGTERM)
	p.hearsEnd()
	s.exit(0)
	if _, err := os.Stat(s.calls); err == nil {
		t.Error("finish was called")
	}
}
