package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of a test. It is long: nothing here depends on speed.
const patience = 40 * time.Second

// instance is a running server: this test binary, or the binary named by MBSERVE_BINARY, started again.
type instance struct {
	t      testing.TB
	mark   string // value of envServer in the environment of all its processes
	cmd    *exec.Cmd
	log    *output // its standard error
	out    *output // its standard output
	exited chan struct{}
	ended  bool // a test has waited for the end
}

// start starts mbserve with a command line and waits until it is ready. At the end of the test the server is stopped.
// It must exit with 0 and leave no process behind.
func start(t testing.TB, args ...string) *instance {
	t.Helper()
	s := launch(t, args...)
	s.wait("msg=ready")
	return s
}

// launch starts mbserve and does not wait.
func launch(t testing.TB, args ...string) *instance {
	t.Helper()
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	return launchProgram(t, program, args...)
}

func launchProgram(t testing.TB, program string, args ...string) *instance {
	t.Helper()
	return launchWith(t, program, nil, nil, args...)
}

// launchWith is like launchProgram, with files from descriptor 3 up and additions to the environment.
func launchWith(t testing.TB, program string, files []*os.File, env []string, args ...string) *instance {
	t.Helper()
	s := &instance{t: t, mark: newMark(), exited: make(chan struct{})}
	s.cmd = exec.Command(program, args...)
	// Without this, the race detector sleeps for a second at the end of each process.
	s.cmd.Env = append(os.Environ(), envServer+"="+s.mark, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if slices.Contains(args, "--tls-self-signed") { // it keeps its CA among the settings of the user
		s.cmd.Env = append(s.cmd.Env, "XDG_CONFIG_HOME="+t.TempDir())
	}
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.ExtraFiles = files
	var stdout, stderr *os.File
	s.out, stdout = newOutput(t)
	s.log, stderr = newOutput(t)
	s.cmd.Stdout, s.cmd.Stderr = stdout, stderr
	err := s.cmd.Start()
	stdout.Close()
	stderr.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.cleanUp)
	return s
}

func (s *instance) pid() int { return s.cmd.Process.Pid }

// wait waits for a line of the log that contains all parts, and returns the first one.
func (s *instance) wait(parts ...string) string {
	s.t.Helper()
	return s.log.wait(s.t, 0, parts...)
}

// address returns the address of the n-th listener, as logged: "127.0.0.1:8080".
func (s *instance) address(n int) string {
	s.t.Helper()
	all := regexp.MustCompile(`msg=listening .*address=https?://(\S+)/`).FindAllStringSubmatch(s.log.String(), -1)
	if n >= len(all) {
		s.t.Fatalf("there is no listener %d:\n%s", n, s.log)
	}
	return all[n][1]
}

// url returns the URL of a path at the first listener.
func (s *instance) url(path string) string { return "http://" + s.address(0) + path }

func (s *instance) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%v: %v\n%s", sig, err, s.log)
	}
}

// stop ends the server gracefully.
func (s *instance) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.exit(0)
}

// exit waits for the end of the server, and checks its exit code and that it has left no process behind.
func (s *instance) exit(code int) {
	s.t.Helper()
	s.ended = true
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.cmd.Process.Signal(syscall.SIGQUIT)
		s.t.Errorf("the server does not exit:\n%s", s.log)
		s.killAll()
		return
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d (%v), want %d", got, s.cmd.ProcessState, code)
	}
	s.checkProcesses()
	s.log.drain()
	s.out.drain()
	s.checkLog()
}

// awaitExit waits for the end of the process that the test has started, which may be replaced by another one. It may have requests to complete.
func (s *instance) awaitExit() {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(2 * patience):
		s.t.Errorf("process %d does not end:\n%s", s.pid(), s.log)
		s.killAll()
		s.ended = true
		s.t.FailNow()
	}
}

// checkProcesses looks for processes that should have ended with the server. It gives the system a moment to remove
// them.
func (s *instance) checkProcesses() {
	s.t.Helper()
	if !holds(patience, func() bool { return len(marked(s.mark)) == 0 }) {
		s.t.Errorf("processes are left: %v", marked(s.mark))
		s.killAll()
	}
}

// checkLog looks for text that must never be in a log.
func (s *instance) checkLog() {
	s.t.Helper()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "SIGSEGV: segmentation violation"} {
		if strings.Contains(s.log.String(), bad) {
			s.t.Errorf("the log has %q", bad)
		}
	}
}

func (s *instance) killAll() {
	for _, p := range marked(s.mark) {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// logShown is how many bytes of the log a failed test shows.
const logShown = 8 << 10

func (s *instance) cleanUp() {
	if !s.ended {
		select {
		case <-s.exited:
			s.t.Errorf("the server has ended: %v", s.cmd.ProcessState)
			s.checkProcesses()
		default:
			s.stop()
		}
	}
	if s.t.Failed() {
		text := s.log.String()
		if n := len(text) - logShown; n > 0 {
			text = text[:logShown/2] + "\n[…]\n" + text[n+logShown/2:]
		}
		s.t.Logf("log of %v:\n%s", s.cmd.Args[1:], text)
	}
}

// run starts mbserve, waits for its end, checks its exit code, and returns its output.
func runToEnd(t testing.TB, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	s := launch(t, args...)
	s.exit(code)
	return s.out.all(t), s.log.all(t)
}

// output collects the output of a process.
type output struct {
	r *os.File

	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed and replaced when data has arrived
	end  chan struct{}
}

func newOutput(t testing.TB) (*output, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o := &output{r: r, more: make(chan struct{}), end: make(chan struct{})}
	go o.collect()
	return o, w
}

// drain waits until all has been read of a process that has ended. A program that a handler has left may hold the pipe open.
func (o *output) drain() {
	select {
	case <-o.end:
	case <-time.After(5 * time.Second):
	}
}

// close stops reading: later output has no reader.
func (o *output) close() { o.r.Close() }

func (o *output) collect() {
	defer close(o.end)
	defer o.r.Close()
	var b [8 << 10]byte
	for {
		n, err := o.r.Read(b[:])
		o.mu.Lock()
		o.b.Write(b[:n])
		close(o.more)
		o.more = make(chan struct{})
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// size returns how much has arrived so far: an offset to wait from.
func (o *output) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Len()
}

// wait waits for a complete line after offset from that contains all parts.
func (o *output) wait(t testing.TB, from int, parts ...string) string {
	t.Helper()
	timeout := time.After(patience)
	ended := o.end
	for {
		o.mu.Lock()
		text, more := o.b.String()[from:], o.more
		o.mu.Unlock()
		for line := range strings.Lines(text) {
			if strings.HasSuffix(line, "\n") && containsAll(line, parts) {
				return line
			}
		}
		select {
		case <-more:
		case <-ended:
			if ended = nil; o.size() == from+len(text) {
				t.Fatalf("the output has ended without a line with %q:\n%s", parts, text)
			}
		case <-timeout:
			t.Fatalf("no line with %q:\n%s", parts, text)
		}
	}
}

// all waits for the end of the output.
func (o *output) all(t testing.TB) string {
	t.Helper()
	select {
	case <-o.end:
	case <-time.After(patience):
		t.Fatalf("the output does not end:\n%s", o)
	}
	return o.String()
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// needs returns the path of a program, without which the test is skipped.
func needs(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(program, " is not installed")
	}
	return path
}

// holds waits until a condition holds, and reports whether it does.
func holds(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// eventually waits until a condition holds, which it must.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !holds(patience, cond) {
		t.Fatalf("timeout: %s", what)
	}
}

var marks struct {
	sync.Mutex
	n int
}

func newMark() string {
	marks.Lock()
	defer marks.Unlock()
	marks.n++
	return fmt.Sprintf("%d.%d", os.Getpid(), marks.n)
}

// field returns the value of a key in a line of the log.
func field(line, key string) string {
	m := regexp.MustCompile(`(?:^|\s)` + key + `=("(?:[^"\\]|\\.)*"|\S*)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	if s, err := strconv.Unquote(m[1]); err == nil {
		return s
	}
	return m[1]
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
