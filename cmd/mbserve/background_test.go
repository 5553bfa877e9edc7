package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// With -b the command returns when the server is ready, and the server keeps running without the terminal.
func TestBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidName, logName := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	s := launch(t, "-b", "-p", pidName, "-l", logName, "testdata/hello.lua")
	s.ended = true
	s.awaitExit()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code %d: %s", code, s.log)
	}
	s.log.all(t) // no process holds our standard error any longer
	s.out.all(t)
	text, err := os.ReadFile(pidName)
	if err != nil {
		t.Fatal(err)
	}
	pid := number(t, strings.TrimSpace(string(text)))
	defer syscall.Kill(pid, syscall.SIGKILL)
	if sid, err := getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d, %v", sid, err)
	}
	var address string
	eventually(t, "the log has the address", func() bool {
		logText, err := os.ReadFile(logName)
		if err != nil {
			t.Fatal(err)
		}
		address = field(string(logText), "address")
		return address != ""
	})
	if got := get(t, address); got != "Hello, world!\n" {
		t.Errorf("%q", got)
	}
	s.endOf(pid)
	if _, err := os.Lstat(pidName); err == nil {
		t.Error("the pid file still exists")
	}
}

func getsid(pid int) (int, error) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// An error at start is shown on the terminal, with the exit code of a start in the foreground.
func TestBackgroundFails(t *testing.T) {
	t.Parallel()
	logName := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct {
		script string
		want   string
	}{
		{"testdata/no_such_script.lua", "no such file"},
		{"testdata/syntax_error.lua", "syntax_error.lua:"},
	} {
		if c.script == "testdata/syntax_error.lua" {
			c.script = filepath.Join(t.TempDir(), "syntax_error.lua")
			if err := os.WriteFile(c.script, []byte("listen{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, stderr := runToEnd(t, exitStart, "-b", "-l", logName, c.script); !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %q", c.script, stderr)
		}
	}
}

// What ends the command while it waits ends the server, too: whoever interrupts a start does not expect it to go on unseen.
func TestBackgroundInterrupted(t *testing.T) {
	t.Parallel()
	for sig, name := range map[syscall.Signal]string{syscall.SIGINT: "INT", syscall.SIGTERM: "TERM"} {
		a := newApplication(t)
		fifo, _ := newFIFO(t)
		a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("x") }`, fifo)
		logName := filepath.Join(t.TempDir(), "log")
		s := launch(t, "-b", "-l", logName, a.script)
		fileLog(t, logName, "msg=loading")
		s.signal(sig)
		s.exit(exitStart)
		if text := s.log.String(); !strings.Contains(text, "server in the background: ended before it was ready") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// A server that cannot end, since a disk does not answer, for example, does not keep the command from being interrupted.
func TestBackgroundInterruptedTwice(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc")
	}
	a := newApplication(t)
	fifo, _ := newFIFO(t)
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("x") }`, fifo)
	dir := t.TempDir()
	pidName, logName := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	s := launch(t, "-b", "-p", pidName, "-l", logName, a.script)
	fileLog(t, logName, "msg=loading")
	pid := number(t, strings.TrimSpace(read(pidName)))
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Of two signals that are pending, a process takes the smaller one first: it would hear of the interrupt, and stop after that.
	eventually(t, "it is stopped", func() bool { p, ok := readProcess(pid); return ok && p.state == "T" })
	s.signal(syscall.SIGINT)
	eventually(t, "the signal is passed on", func() bool {
		_, text, _ := strings.Cut(read("/proc/"+itoa(pid)+"/status"), "\nShdPnd:\t")
		pending, err := strconv.ParseUint(strings.TrimSpace(text[:min(len(text), 16)]), 16, 64)
		return err == nil && pending&(1<<(syscall.SIGINT-1)) != 0
	})
	s.signal(syscall.SIGINT)
	s.ended = true
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Error("the command does not end")
		s.cmd.Process.Kill()
	}
	if code := s.cmd.ProcessState.ExitCode(); code != exitStart {
		t.Errorf("exit code %d", code)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Error(err)
	}
	s.checkProcesses() // the server ends as soon as it can
	if text := s.log.all(t); !strings.Contains(text, "process "+itoa(pid)+" is to end") {
		t.Errorf("%q", text)
	}
}

// systemLog is a system log for the test.
func systemLog(t *testing.T) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	was := syslogAt
	syslogAt.network, syslogAt.address = "unixgram", path
	t.Cleanup(func() {
		syslogAt = was
		c.Close()
	})
	return func() string {
		var b [64 << 10]byte
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestSystemLog(t *testing.T) {
	next := systemLog(t)
	log, queue, err := openSyslog("local3", "app", logText, true)
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close(patience)
	const facility = 19 << 3 // RFC 5424 §6.2.1: local3
	for _, c := range []struct {
		write func()
		level int
		want  string
	}{
		{func() { log.Debug("d") }, 7, "msg=d"},
		{func() { log.Info("i", "n", 1) }, 6, "msg=i n=1"},
		{func() { log.With("pool", 2).Warn("w") }, 4, "msg=w pool=2"},
		{func() { log.WithGroup("g").Error("two\nlines", "k", "v") }, 3, `msg="two\nlines" g.k=v`},
	} {
		c.write()
		got := next()
		if !strings.HasPrefix(got, "<"+itoa(facility+c.level)+">") || !strings.Contains(got, " app[") ||
			!strings.HasSuffix(strings.TrimSpace(got), "]: "+c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The lines of a record that is for reading are messages of their own in the system log. They have its level, and no time.
func TestSystemLogPlain(t *testing.T) {
	next := systemLog(t)
	log, queue, err := openSyslog("local3", "app", logPlain, true)
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close(patience)
	log.Info("first\nsecond", "n", 1)
	log.Warn("w", "traceback", "stack:\n\tapp.lua:1\n")
	log.Debug("d")
	for _, c := range []struct {
		level int
		want  string
	}{{6, "first"}, {6, "         second n=1"}, {4, "w"}, {4, "         stack:"}, {4, "             app.lua:1"}, {7, "d"}} {
		got := next()
		_, text, _ := strings.Cut(got, "]: ")
		if !strings.HasPrefix(got, "<"+itoa(19<<3+c.level)+">") || strings.TrimSuffix(text, "\n") != c.want {
			t.Errorf("%q, want level %d and %q", got, c.level, c.want)
		}
	}
}

func TestJSONLog(t *testing.T) {
	t.Parallel()
	s := launch(t, "--log-format", "json", "testdata/hello.lua")
	s.wait(`"msg":"ready"`)
	s.stop()
	for line := range strings.Lines(s.log.all(t)) {
		var v struct {
			Time  time.Time
			Level slog.Level
			Msg   string
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Msg == "" || v.Time.IsZero() {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	for _, f := range []logFormat{logText, logJSON} {
		newLogger(&b, f, false).Debug("silent")
		newLogger(&b, f, true).Debug("said")
	}
	if got := b.String(); strings.Contains(got, "silent") || strings.Count(got, "said") != 2 {
		t.Errorf("%q", got)
	}
}

// Root privileges are dropped: script, workers and server run as another user, with files that only root could open.
func TestUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if _, stderr := runToEnd(t, exitUsage, "-u", "root", "testdata/hello.lua"); !strings.Contains(stderr, "started as root") {
			t.Error(stderr)
		}
		t.Skip("needs root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody: ", err)
	}
	dir, err := os.MkdirTemp("", "mbserve")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := &application{t, filepath.Join(dir, "app.lua")}
	a.write(`@ io.stderr:write("script of ", io.popen("id -u"):read("*l"), "\n")
		listen{ port, connect = http.generate_handler(function(request)
			request:send_status("200 OK")
			request:send_data(io.popen("id -u; id -G"):read("*a"))
		end) }`)
	// The test binary is in a directory that only root can access.
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(dir, "mbserve")
	if os.Link(program, ours) != nil {
		t.Skip("the test binary cannot be linked to ", ours)
	}
	s := launchProgram(t, ours, "-u", "nobody", a.script)
	s.wait("msg=ready")
	s.wait("script of " + nobody.Uid)
	if got := get(t, s.url("/")); got != nobody.Uid+"\n"+nobody.Gid+"\n" {
		t.Errorf("worker of %q", got)
	}
	status, err := os.ReadFile("/proc/" + itoa(s.pid()) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Uid:\t" + strings.Repeat(nobody.Uid+"\t", 3) + nobody.Uid; !strings.Contains(string(status), want) {
		t.Errorf("no %q in\n%s", want, status)
	}
	s.mustReload()
	if got := get(t, s.url("/")); !strings.HasPrefix(got, nobody.Uid) {
		t.Errorf("worker of %q after a reload", got)
	}
	for _, c := range [][]string{{"-u", "no-such-user"}, {"--group", "no-such-group"}} {
		if _, stderr := runToEnd(t, exitUsage, append(c, a.script)...); !strings.Contains(stderr, c[1]) {
			t.Errorf("%q: %s", c, stderr)
		}
	}
}
