package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Processes that handlers fork, and that come back to the server's code. They end there: no client gets an answer of a child,
// and the worker goes on as if nothing had happened.
func TestFaultForkedChild(t *testing.T) {
	t.Parallel()
	ticks := filepath.Join(t.TempDir(), "ticks")
	s := start(t, "testdata/fork.lua", ticks, "")
	wantFFI(t, s)
	clients := make(chan error, 4)
	for i := range cap(clients) {
		go func() { clients <- s.askAll(fmt.Sprintf("page%d", i), "fork", "fail", "answer") }()
	}
	m := regexp.MustCompile(`address=tcp://(\S+) serves=raw`).FindStringSubmatch(s.log.String())
	for range 5 {
		l := dialLines(t, "tcp", m[1])
		for range 3 {
			if got := l.ask("hello"); got != "answer of hello" {
				t.Errorf("raw connection: %q", got)
			}
		}
		l.leave()
	}
	for range cap(clients) {
		if err := <-clients; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "ticks", func() bool {
		b, _ := os.ReadFile(ticks)
		return strings.Count(string(b), "tick\n") > 3
	})
	s.wait("forked process: it came back")
	s.wait("forked process: ", "a mistake of the child")
	s.stop()
	for _, bad := range []string{"worker ended", "workers were killed", "destroyed", "level=ERROR"} {
		if strings.Contains(s.log.String(), bad) {
			t.Errorf("the log has %q", bad)
		}
	}
}

// askAll asks for each of the paths some times.
func (s *instance) askAll(paths ...string) error {
	for range 5 {
		for _, path := range paths {
			resp, body, err := fetch("GET", s.url("/"+path), "")
			if err != nil {
				return err
			}
			if resp.StatusCode != 200 || body != "answer of /"+path {
				return fmt.Errorf("/%s: status %d, body %q", path, resp.StatusCode, body)
			}
		}
	}
	return nil
}

// A child that lives on does not hold up a stop.
func TestFaultForkedChildLivesOn(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "--grace", "1h", "testdata/fork.lua", filepath.Join(t.TempDir(), "ticks"), fifo)
	wantFFI(t, s)
	if got := get(t, s.url("/stay")); got != "answer of /stay" {
		t.Errorf("body %q", got)
	}
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopped")
	open()
	s.exit(0)
}

// A shell that a handler starts signals its process group: that is its worker, and nothing else.
func TestFaultGroupSignalled(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, open := newFIFO(t)
	a.write(`@ listen{ port, min_fork = 4, max_fork = 4, connect = http.generate_handler(function(request)
		if request.path == "signal" then os.execute("trap 'kill 0' EXIT; true") end
		if request.path == "wait" then
			io.stderr:write("waiting\n")
			io.open(%q):close()
		end
		request:send_status("200 OK")
		request:send_data("done")
	end) }`, fifo)
	s := start(t, a.script)
	busy := dial(t, s.address(0))
	busy.say("POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	s.wait("waiting")
	if got := status(t, "POST", s.url("/signal")); got != 502 {
		t.Errorf("status %d", got)
	}
	s.wait("worker ended", `end="signal SIGTERM"`, "lost=1")
	for range 20 {
		if got := get(t, s.url("/")); got != "done" {
			t.Errorf("body %q", got)
		}
	}
	open()
	if got := busy.hears(200); got != "done" {
		t.Errorf("body %q", got)
	}
	if strings.Contains(s.log.String(), "fork server died") {
		t.Error("the fork server has died")
	}
}

// A program that a handler has started dies with its worker when the server kills that: the checks after the stop find no process.
func TestFaultOverdueWithChildren(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ option, call string }{{"request_timeout = 1,", ""}, {"", "timeout(1)"}} {
		a := newApplication(t)
		a.write(`@ listen{ port, %s connect = http.generate_handler(function(request)
			if request.path == "start" then
				%s
				os.execute("sleep 1000")
			end
			request:send_status("200 OK")
			request:send_data("done")
		end) }`, c.option, c.call)
		s := start(t, a.script)
		if got := status(t, "POST", s.url("/start")); got != 504 {
			t.Errorf("%+v: status %d", c, got)
		}
		if got := get(t, s.url("/")); got != "done" {
			t.Errorf("body %q", got)
		}
		eventually(t, "what the handler started is killed", func() bool {
			for _, p := range marked(s.mark) {
				if strings.HasPrefix(p.name, "sleep") {
					return false
				}
			}
			return true
		})
		s.stop()
	}
}
