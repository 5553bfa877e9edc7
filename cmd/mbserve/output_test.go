package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// unread is a server of testdata/output.lua, one of whose outputs goes to a pipe that nothing reads for the time being.
type unread struct {
	*instance
	t       *testing.T
	socket  string
	version string // file with the text that the handlers of the next load answer
	pipe    *os.File

	mu   sync.Mutex
	text bytes.Buffer // what was read from the pipe
	end  chan struct{}
}

// startUnread starts the server. redirect is what a shell does with the pipe, which is its descriptor 3.
func startUnread(t *testing.T, redirect string, args ...string) *unread {
	t.Helper()
	return startUnreadWith(t, nil, redirect, args...)
}

// startUnreadWith is startUnread with additions to the environment.
func startUnreadWith(t *testing.T, env []string, redirect string, args ...string) *unread {
	t.Helper()
	shell := needs(t, "sh")
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		program, _ = os.Executable()
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	u := &unread{t: t, pipe: r, socket: filepath.Join(dir, "socket"), version: filepath.Join(dir, "version"), end: make(chan struct{})}
	u.load("first")
	args = append([]string{"-c", `exec "$0" "$@" ` + redirect + " 3>&-", program}, args...)
	u.instance = launchWith(t, shell, []*os.File{w}, env, append(args, "--grace", "5", "testdata/output.lua", u.socket, u.version)...)
	w.Close()
	t.Cleanup(func() { r.Close() })
	eventually(t, "it serves", func() bool { _, err := u.ask("/"); return err == nil })
	return u
}

func (u *unread) load(version string) {
	if err := os.WriteFile(u.version, []byte(version), 0o600); err != nil {
		u.t.Fatal(err)
	}
}

func (u *unread) ask(path string) (string, error) {
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", u.socket) },
	}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://local" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// writes makes the handlers write lines.
func (u *unread) writes(path string) {
	u.t.Helper()
	if _, err := u.ask(path); err != nil {
		u.t.Fatalf("%s: %v", path, err)
	}
}

// reloads checks that HUP works.
func (u *unread) reloads() {
	u.t.Helper()
	u.load("second")
	u.signal(syscall.SIGHUP)
	eventually(u.t, "the new script serves", func() bool { text, _ := u.ask("/"); return text == "second" })
}

// read starts to read the pipe.
func (u *unread) read() {
	go func() {
		defer close(u.end)
		var b [64 << 10]byte
		for {
			n, err := u.pipe.Read(b[:])
			u.mu.Lock()
			u.text.Write(b[:n])
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (u *unread) got() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

// all waits for the end of the pipe.
func (u *unread) all() string {
	u.t.Helper()
	select {
	case <-u.end:
	case <-time.After(patience):
		u.t.Fatal("the pipe does not end")
	}
	return u.got()
}

// lostIn adds up the counts of the lines that say that something was lost.
func lostIn(t *testing.T, log, what string) (n int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, what) {
			n += number(t, field(line, "count"))
		}
	}
	return n
}

// checkNumbers checks that the numbers of the lines rise, and returns how many whole lines there are.
func checkNumbers(t *testing.T, text string) (n int) {
	t.Helper()
	last := 0
	for line := range strings.Lines(text) {
		_, rest, found := strings.Cut(line, "line ")
		if !found {
			continue
		}
		digits, rest, _ := strings.Cut(rest, " ")
		k := number(t, digits)
		if k <= last {
			t.Fatalf("line %d after line %d: %.200q", k, last, line)
		}
		last = k
		if strings.Count(rest, "x") == 4000 {
			n++
		}
	}
	return n
}

// If nothing reads standard error, nothing waits for it. When it is read again, the log says how much is missing.
func TestLogNobodyReads(t *testing.T) {
	t.Parallel()
	u := startUnread(t, "2>&3")
	const written = 1500
	for range written / 100 {
		u.writes("/log?100")
	}
	u.reloads()
	u.read()
	const lost = `level=WARN msg="log: lines lost: they cannot be written fast enough"`
	eventually(t, "the log says that lines were lost", func() bool { return strings.Contains(u.got(), lost) })
	u.stop()
	text := u.all()
	if got, missing := checkNumbers(t, text), lostIn(t, text, lost); got+missing < written || got+missing > written+20 || got == 0 {
		t.Errorf("%d lines and %d lost, want %d and a few others", got, missing, written)
	}
}

// TERM ends the server although its last words cannot be written.
func TestStopNobodyReads(t *testing.T) {
	t.Parallel()
	for _, redirect := range []string{"2>&3", ">&3", ">&3 2>&3"} {
		t.Run(redirect, func(t *testing.T) {
			t.Parallel()
			u := startUnread(t, redirect)
			u.writes("/log?400")
			u.writes("/print?400")
			u.stop()
		})
	}
}

// If nothing reads standard output, print does not block. The log says how many lines are lost.
func TestPrintNobodyReads(t *testing.T) {
	t.Parallel()
	u := startUnread(t, ">&3")
	const written = 1000
	u.writes("/print?1000")
	const lost = "standard output: lines lost: they cannot be written fast enough"
	u.wait(lost)
	u.reloads()
	u.read()
	eventually(t, "the lines that are not lost", func() bool { return strings.Contains(u.got(), "line ") })
	u.stop()
	text, log := u.all(), u.log.all(t)
	got, missing := checkNumbers(t, text), lostIn(t, log, lost)
	if got+missing != written || got == 0 || missing == 0 {
		t.Errorf("%d lines and %d lost, want %d", got, missing, written)
	}
}

// Text that handlers print comes out at once, in order, after the text that the script prints while it loads.
func TestPrint(t *testing.T) {
	t.Parallel()
	s := start(t, writeScript(t, `print("loading")
local http = require "moonbridge_http"
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1, max_fork = 1,
	prepare = function() print("prepared", "\0\255") end,
	finish = function() io.write("finished without a line break") end,
	connect = http.generate_handler(function(request)
		print("printed", request.path)
		request:send_status("200 OK")
		request:send_data("x")
	end),
}
`))
	s.out.wait(t, 0, "loading\n")
	s.out.wait(t, 0, "prepared\t\x00\xff\n")
	get(t, s.url("/a"))
	s.out.wait(t, 0, "printed\ta\n")
	get(t, s.url("/b"))
	s.out.wait(t, 0, "printed\tb\n")
	s.stop()
	if got, want := s.out.all(t), "loading\nprepared\t\x00\xff\nprinted\ta\nprinted\tb\nfinished without a line break"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A log file that is a pipe which nothing reads holds up nothing either, and USR1 replaces it by a file.
func TestLogPipeNobodyReads(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	u := startUnread(t, "", "-l", name)
	u.writes("/log?400")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	u.signal(syscall.SIGUSR1)
	fileLog(t, name, "log: lines lost", "count=")
	u.writes("/log?1")
	fileLog(t, name, "line 401 ")
	u.stop()
	fileLog(t, name, "msg=stopped")
}

// The same after the server was replaced.
func TestLogPipeNobodyReadsAfterUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, pidName := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	u := startUnread(t, "", "-l", name, "-p", pidName)
	u.signal(syscall.SIGUSR2)
	heir := u.awaitNew(pidName)
	u.writes("/log?400")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(heir, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	fileLog(t, name, "log: lines lost", "count=")
	u.writes("/log?1")
	fileLog(t, name, "line 401 ")
	u.endOf(heir)
}

// The disk with the log is full for a time. When there is room again, the log says how many lines are missing.
func TestLogDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("no file system for the test: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	name := filepath.Join(dir, "log")
	u := startUnread(t, "", "-l", name, "--access-log", filepath.Join(dir, "access.log"))
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	const written = 60
	u.writes("/log?60") // there is room for about half of it
	eventually(t, "the disk is full", func() bool {
		var s syscall.Statfs_t
		return syscall.Statfs(dir, &s) == nil && s.Bavail == 0
	})
	if got, err := u.ask("/"); got != "first" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	const lost = `level=ERROR msg="log: lines lost"`
	fileLog(t, name, lost, "no space left on device")
	u.stop()
	log, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, " msg=\"line ") && strings.Count(line, "x") == 4000 {
			whole++
		}
	}
	// The access log may have lost lines too, of which the log may have lost the report.
	if missing := lostIn(t, string(log), lost); whole+missing < written || whole+missing > written+3 || missing == 0 {
		t.Errorf("%d lines and %d lost, want %d", whole, missing, written)
	}
}

// A system log that does not read holds up nothing. Afterwards it gets the lines that have waited, and the number of lost ones.
func TestSystemLogNobodyReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	u := startUnreadWith(t, []string{envSyslog + "=" + path}, "", "-f", "daemon")
	for range 15 {
		u.writes("/log?100")
	}
	u.reloads()
	var text strings.Builder
	c.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 64<<10); !strings.Contains(text.String(), "log: lines lost"); {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(b[:n], '\n'))
	}
	u.stop()                                                                                     // which is not read
	if !strings.Contains(text.String(), "<28>") || !strings.Contains(text.String(), "line 1 ") { // daemon, warning
		t.Errorf("%.2000s", text.String())
	}
}
