package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// rawServer is a server that runs testdata/raw.lua.
type rawServer struct {
	*instance
	path  string // of the Unix socket
	ticks string // file that a timer writes to
}

// startRaw starts a rawServer. args are the arguments of the script after the file names.
func startRaw(t *testing.T, options []string, args ...string) rawServer {
	t.Helper()
	dir := t.TempDir()
	s := rawServer{path: filepath.Join(dir, "socket"), ticks: filepath.Join(dir, "ticks")}
	line := append(options, "testdata/raw.lua", s.path, s.ticks)
	s.instance = start(t, append(line, args...)...)
	return s
}

// raw returns the address of the raw listener.
func (s rawServer) raw() string {
	s.t.Helper()
	m := regexp.MustCompile(`msg=listening pool=0 address=tcp://(\S+) serves=raw`).FindStringSubmatch(s.log.String())
	if m == nil {
		s.t.Fatalf("no address of a raw listener:\n%s", s.log)
	}
	return m[1]
}

// lines is a peer that sends and receives lines.
type lines struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dialLines(t testing.TB, network, addr string) *lines {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &lines{t, c, bufio.NewReader(c)}
}

// try sends a line and returns the answer.
func (l *lines) try(line string) (string, error) {
	l.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(l, line); err != nil {
		return "", err
	}
	answer, err := l.r.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

func (l *lines) ask(line string) string {
	l.t.Helper()
	answer, err := l.try(line)
	if err != nil {
		l.t.Fatalf("%s: %v", line, err)
	}
	return answer
}

// end reads up to the end of the connection.
func (l *lines) end() error {
	_, err := io.Copy(io.Discard, l.r)
	return err
}

// leave ends the connection from this side, and expects the server to end it too.
func (l *lines) leave() {
	l.t.Helper()
	l.Conn.(interface{ CloseWrite() error }).CloseWrite()
	if err := l.end(); err != nil {
		l.t.Error(err)
	}
	l.Close()
}

// With more simultaneous connections than workers, each connection is served in turn, and so are the HTTP listener and
// the timer of the same pool.
func TestRawMany(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "8")
	const conns = 50
	errs := make(chan error, conns)
	workers := sync.Map{}
	var all []*lines
	for i := range conns {
		if i%5 == 0 {
			all = append(all, dialLines(t, "unix", s.path))
		} else {
			all = append(all, dialLines(t, "tcp", s.raw()))
		}
	}
	for i, l := range all {
		go func() {
			pid, err := l.try("pid")
			workers.Store(pid, true)
			for j := 0; j < 20 && err == nil; j++ {
				want := fmt.Sprintf("connection %d, line %d", i, j)
				var got string
				if got, err = l.try(want); err == nil && got != want {
					err = fmt.Errorf("got %q, want %q", got, want)
				}
			}
			l.Close()
			errs <- err
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	n := 0
	workers.Range(func(any, any) bool { n++; return true })
	if n > 8 {
		t.Errorf("%d workers", n)
	}
	if got := get(t, s.url("/")); !strings.HasPrefix(got, "pid ") {
		t.Errorf("body %q", got)
	}
	eventually(t, "ticks", func() bool {
		b, _ := os.ReadFile(s.ticks)
		return strings.HasPrefix(string(b), "tick\ntick\n")
	})
	s.wait("msg=listening", "address=unix:"+s.path, "serves=raw")
	s.stop()
	if strings.Contains(s.log.String(), "level=WARN") || strings.Contains(s.log.String(), "level=ERROR") {
		t.Error("the log has errors or warnings")
	}
}

// A connection that stays open occupies one worker and nothing else.
func TestRawBesideRequests(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "2")
	l := dialLines(t, "tcp", s.raw())
	pid := l.ask("pid")
	_, port, _ := net.SplitHostPort(l.LocalAddr().String())
	_, serverPort, _ := net.SplitHostPort(s.raw())
	if got := l.ask("address"); got != port+" "+serverPort {
		t.Errorf("ports %s, want %s %s", got, port, serverPort)
	}
	client := dial(t, s.address(0))
	for range 200 {
		client.get("/")
		if got := client.hears(200); got == "pid "+pid {
			t.Fatal("answered by the worker that has a connection")
		}
	}
	if got := l.ask("still"); got != "still" {
		t.Errorf("got %q", got)
	}
	l.leave()
}

// When a worker is killed, only its own connection ends.
func TestRawKilled(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "4")
	a, b := dialLines(t, "tcp", s.raw()), dialLines(t, "tcp", s.raw())
	pid := number(t, a.ask("pid"))
	b.ask("hello")
	syscall.Kill(pid, syscall.SIGKILL)
	a.end()
	line := s.wait("worker ended", "pid="+strconv.Itoa(pid))
	if field(line, "end") != "signal SIGKILL" || field(line, "lost") != "1" {
		t.Errorf("log: %s", line)
	}
	if got := b.ask("still"); got != "still" {
		t.Errorf("got %q", got)
	}
	c := dialLines(t, "tcp", s.raw())
	if got := c.ask("new"); got != "new" {
		t.Errorf("got %q", got)
	}
	b.leave()
	c.leave()
}

// A handler that fails resets its connection and ends its worker. The worker is replaced at once, not after
// fork_error_delay, which is an hour here.
func TestRawHandlerFails(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "1")
	for range 5 {
		l := dialLines(t, "tcp", s.raw())
		l.ask("hello")
		fmt.Fprintln(l, "fail")
		if err := l.end(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("error %v, want a reset", err)
		}
	}
	l := dialLines(t, "tcp", s.raw())
	if got := l.ask("hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	l.leave()
	s.wait("raw.lua", "a mistake of the handler")
	s.stop()
	if text := s.log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "lost=") {
		t.Error("the log warns about an expected event")
	}
}

// Ways to end a connection or a handler after which the worker can still be used.
func TestRawEnds(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "1")
	first := dialLines(t, "tcp", s.raw())
	pid := first.ask("pid")
	first.leave()
	l := dialLines(t, "tcp", s.raw())
	l.ask("hello")
	fmt.Fprintln(l, "cancel")
	if err := l.end(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a reset", err)
	}
	// Peers that disconnect before a worker takes them.
	for range 20 {
		c, err := net.Dial("tcp", s.raw())
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	l = dialLines(t, "tcp", s.raw())
	if got := l.ask("pid"); got != pid {
		t.Errorf("worker %s, want %s", got, pid)
	}
	l.leave()
}

func TestRawTimeout(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "2", "0.2")
	l := dialLines(t, "tcp", s.raw())
	fmt.Fprintln(l, "hello")
	l.end()
	s.wait("worker ended", "err=request_timeout")
}

// A graceful stop waits for an open connection, and accepts no new one.
func TestRawGracefulStop(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "2")
	l := dialLines(t, "tcp", s.raw())
	l.ask("hello")
	s.signal(syscall.SIGTERM)
	eventually(t, "the listener is closed", func() bool { return refuses(s.raw()) })
	for range 10 {
		if got := l.ask("still"); got != "still" {
			t.Errorf("got %q", got)
		}
	}
	l.leave()
	s.exit(0)
	if strings.Contains(s.log.String(), "workers were killed") {
		t.Error("workers were killed")
	}
	if _, err := os.Lstat(s.path); err == nil {
		t.Error("the socket file still exists")
	}
}

// After the grace time, or at QUIT, an open connection ends with its worker.
func TestRawStopAtOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		sig     syscall.Signal
	}{
		{"grace", []string{"--grace", "0.3"}, syscall.SIGTERM},
		{"QUIT", nil, syscall.SIGQUIT},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startRaw(t, c.options, "1")
			l := dialLines(t, "tcp", s.raw())
			l.ask("hello")
			waiting := dialLines(t, "tcp", s.raw())
			s.signal(c.sig)
			l.end()
			waiting.end()
			s.exit(0)
		})
	}
}

// The handler of a request resets its connection; the worker can still be used.
func TestRequestCancelsConnection(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil, "1")
	pid := get(t, s.url("/"))
	for range 5 {
		l := dialLines(t, "tcp", s.address(0))
		fmt.Fprint(l, "GET /cancel HTTP/1.1\r\nHost: h\r\n\r\n")
		if got, err := io.ReadAll(l.r); len(got) > 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %q, %v, want a reset", got, err)
		}
		if got := get(t, s.url("/")); got != pid {
			t.Errorf("answer of %q, want %q", got, pid)
		}
	}
}

// The peer sees the reset at once, not when the handler has returned.
func TestRequestCancelsAtOnce(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, open := newFIFO(t)
	a.write(`@ listen{ port, connect = http.generate_handler(function(request)
		request.socket:cancel()
		io.open(%q):close()
	end) }`, fifo)
	s := start(t, a.script)
	l := dialLines(t, "tcp", s.address(0))
	fmt.Fprint(l, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got, err := io.ReadAll(l.r); len(got) > 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v, want a reset", got, err)
	}
	open() // the handler was still running
}
